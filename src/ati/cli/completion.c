#include "ati/cli/options.h"

#include "base/poison.h"

enum { PATH_BYTES = 2 * CLI_NAME_BYTES };

/* Names of tools, from whoever lists them: the keys of an element stand four blanks deep. */
#define TOOLS                                                                          \
    "ati --output json tool list 2>/dev/null | sed -n 's/^    \"\\(tool\\|name\\)\": " \
    "\"\\(.*\\)\",\\{0,1\\}$/\\2/p'"

/* --- what all shells need ------------------------------------------------------------------------ */

typedef void visit(FILE *out, const struct cli_command *c, const char *path);

/* NOLINTNEXTLINE(misc-no-recursion): as deep as commands are, CLI_DEPTH_MAX */
static void each_command(FILE *out, const struct cli_command *c, const char *path, visit *visitor)
{
    char inner[PATH_BYTES];

    visitor(out, c, path);
    for (size_t i = 0; i < c->command_count; i++) {
        (void)snprintf(inner, sizeof inner, "%s %s", path, cli_sub(c, i)->name);
        each_command(out, cli_sub(c, i), inner, visitor);
    }
}

/* The index-th flag of a command: its own ones first. NULL: there are no more. */
static const struct cli_option *flag_at(const struct cli_command *c, size_t index)
{
    if (index < c->option_count)
        return &c->options[index];
    index -= c->option_count;
    return index < cli_global_count ? &cli_globals[index] : NULL;
}

/* Inside single quotes. quote: how one of those is written there. */
static void quoted(FILE *out, const char *text, const char *quote)
{
    for (; *text; text++)
        if (*text == '\'')
            (void)fputs(quote, out);
        else
            (void)fputc(*text, out);
}

/* "http|stdio" as "http stdio". */
static void choices(FILE *out, const struct cli_option *o)
{
    for (const char *c = o->choices; c && *c; c++)
        (void)fputc(*c == '|' ? ' ' : *c, out);
}

static void names(FILE *out, const struct cli_command *c)
{
    for (size_t i = 0; i < c->command_count; i++) {
        const struct cli_command *sub = cli_sub(c, i);

        (void)fprintf(out, "%s%s%s%s", i ? " " : "", sub->name, sub->alias ? " " : "",
                      sub->alias ? sub->alias : "");
    }
}

/* Flags that take a value, or all. */
static void flags(FILE *out, const struct cli_command *c, bool valued)
{
    const struct cli_option *o;
    const char *sep = "";

    for (size_t i = 0; (o = flag_at(c, i)); i++) {
        if (valued && !o->value)
            continue;
        (void)fprintf(out, "%s--%s", sep, o->name);
        sep = " ";
        if (o->letter)
            (void)fprintf(out, " -%c", o->letter);
    }
}

/* 'ati tool'|'ati tools': also under its other name. */
static void pattern(FILE *out, const struct cli_command *c, const char *path)
{
    const char *last = strrchr(path, ' ');

    (void)fprintf(out, "    '%s'", path);
    if (c->alias && last)
        (void)fprintf(out, "|'%.*s %s'", (int)(last - path), path, c->alias);
}

/* --- bash ---------------------------------------------------------------------------------------- */

static void bash_command(FILE *out, const struct cli_command *c, const char *path)
{
    pattern(out, c, path);
    (void)fprintf(out, ") at='%s' tools=%s\n        subs='", path, c->takes_tool ? "1" : "''");
    names(out, c);
    (void)fputs("'\n        flags='", out);
    flags(out, c, false);
    (void)fputs("'\n        valued='", out);
    flags(out, c, true);
    (void)fputs("' ;;\n", out);
}

static void case_choices(FILE *out, const struct cli_command *c, const char *path)
{
    const struct cli_option *o;

    for (size_t i = 0; (o = flag_at(c, i)); i++) {
        if (!o->choices || (i >= c->option_count && c != &cli_root))
            continue;
        if (c == &cli_root) /* of every command */
            (void)fprintf(out, "    *' --%s') echo '", o->name);
        else
            (void)fprintf(out, "    '%s --%s') echo '", path, o->name);
        choices(out, o);
        (void)fputs("' ;;\n", out);
    }
}

static void bash(FILE *out)
{
    (void)fputs("# bash completion of ati, made by \"ati completion bash\".\n"
                "_ati_at() {\n    case $1 in\n",
                out);
    each_command(out, &cli_root, cli_root.name, bash_command);
    (void)fputs("    esac\n}\n\n"
                "_ati_choices() {\n    case $1 in\n",
                out);
    each_command(out, &cli_root, cli_root.name, case_choices);
    (void)fputs(
        "    esac\n}\n\n"
        "_ati() {\n"
        "    local line=${COMP_LINE:0:COMP_POINT} at='' subs='' flags='' valued='' tools=''\n"
        "    local i word cur known='' pending='' count=0\n"
        "    local -a words\n"
        "\n"
        "    read -ra words <<<\"$line\"\n"
        "    [[ $line == *[[:space:]] ]] && words+=('')\n"
        "    cur=${words[-1]}\n"
        "    _ati_at ati\n"
        "    for ((i = 1; i < ${#words[@]} - 1; i++)); do\n"
        "        word=${words[i]}\n"
        "        if [[ $pending ]]; then\n"
        "            pending=\n"
        "        elif [[ $word == -* ]]; then\n"
        "            [[ \" $valued \" == *\" $word \"* ]] && pending=$word\n"
        "        elif [[ \" $subs \" == *\" $word \"* ]]; then\n"
        "            _ati_at \"$at $word\"\n"
        "        else\n"
        "            count=$((count + 1))\n"
        "        fi\n"
        "    done\n"
        "    COMPREPLY=()\n"
        "    if [[ $cur == --*=* ]]; then\n"
        "        pending=${cur%%=*} cur=${cur#*=}\n"
        "    fi\n"
        "    if [[ $pending ]]; then\n"
        "        known=$(_ati_choices \"$at $pending\")\n"
        "    elif [[ $cur == -* ]]; then\n"
        "        known=$flags\n"
        "    elif [[ $subs ]]; then\n"
        "        known=$subs\n"
        "    elif [[ $tools && $count == 0 ]]; then\n"
        "        known=$(_ati_tools)\n"
        "    fi\n"
        "    [[ $known ]] || return 0\n"
        "    while IFS= read -r word; do\n"
        "        # Readline takes ':' for the end of a word.\n"
        "        [[ $COMP_WORDBREAKS == *:* ]] && word=${word#\"${cur%\"${cur##*:}\"}\"}\n"
        "        COMPREPLY+=(\"$word\")\n"
        "    done < <(compgen -W \"$known\" -- \"$cur\")\n"
        "    compopt +o default 2>/dev/null\n"
        "    return 0\n"
        "}\n\n"
        "_ati_tools() {\n    " TOOLS "\n}\n\n"
        "complete -o default -F _ati ati\n",
        out);
}

/* --- zsh ----------------------------------------------------------------------------------------- */

static void zsh_entry(FILE *out, const char *name, const char *text)
{
    (void)fprintf(out, " '%s:", name);
    quoted(out, text, "'\\''");
    (void)fputc('\'', out);
}

static void zsh_command(FILE *out, const struct cli_command *c, const char *path)
{
    const struct cli_option *o;
    char name[CLI_NAME_BYTES];

    pattern(out, c, path);
    (void)fprintf(out, ") at='%s' tools=%s\n        subs=(", path, c->takes_tool ? "1" : "''");
    for (size_t i = 0; i < c->command_count; i++) {
        const struct cli_command *sub = cli_sub(c, i);

        zsh_entry(out, sub->name, sub->summary);
        if (sub->alias)
            zsh_entry(out, sub->alias, sub->summary);
    }
    (void)fputs(" )\n        flags=(", out);
    for (size_t i = 0; (o = flag_at(c, i)); i++) {
        (void)snprintf(name, sizeof name, "--%s", o->name);
        zsh_entry(out, name, o->help);
        if (!o->letter)
            continue;
        (void)snprintf(name, sizeof name, "-%c", o->letter);
        zsh_entry(out, name, o->help);
    }
    (void)fputs(" )\n        valued=(", out);
    flags(out, c, true);
    (void)fputs(") ;;\n", out);
}

static void zsh(FILE *out)
{
    (void)fputs("#compdef ati\n"
                "# zsh completion of ati, made by \"ati completion zsh\".\n"
                "_ati_at() {\n    case $1 in\n",
                out);
    each_command(out, &cli_root, cli_root.name, zsh_command);
    (void)fputs("    esac\n}\n\n"
                "_ati_choices() {\n    case $1 in\n",
                out);
    each_command(out, &cli_root, cli_root.name, case_choices);
    (void)fputs("    esac\n}\n\n"
                "_ati() {\n"
                "    local at word pending tools\n"
                "    local -a subs flags valued known\n"
                "    integer count=0\n"
                "\n"
                "    _ati_at ati\n"
                "    for word in \"${(@)words[2,CURRENT-1]}\"; do\n"
                "        if [[ -n $pending ]]; then\n"
                "            pending=\n"
                "        elif [[ $word == -* ]]; then\n"
                "            (( ${valued[(Ie)$word]} )) && pending=$word\n"
                "        elif (( ${subs[(I)${(b)word}:*]} )); then\n"
                "            _ati_at \"$at $word\"\n"
                "        else\n"
                "            count+=1\n"
                "        fi\n"
                "    done\n"
                "    if [[ -z $pending && $PREFIX == --*=* ]]; then\n"
                "        pending=${PREFIX%%=*}\n"
                "        compset -P '*='\n"
                "    fi\n"
                "    if [[ -n $pending ]]; then\n"
                "        known=( ${=\"$(_ati_choices \"$at $pending\")\"} )\n"
                "        if (( $#known )); then compadd -a known; else _files; fi\n"
                "    elif [[ $PREFIX == -* ]]; then\n"
                "        _describe -o flag flags\n"
                "    elif (( $#subs )); then\n"
                "        _describe command subs\n"
                "    elif [[ -n $tools && $count == 0 ]]; then\n"
                "        known=( ${(f)\"$(_ati_tools)\"} )\n"
                "        compadd -a known\n"
                "    else\n"
                "        _files\n"
                "    fi\n"
                "}\n\n"
                "_ati_tools() {\n    " TOOLS "\n}\n\n"
                "if [[ $funcstack[1] == _ati ]]; then _ati \"$@\"; else compdef _ati ati; fi\n",
                out);
}

/* --- fish ---------------------------------------------------------------------------------------- */

static void fish_path(FILE *out, const struct cli_command *c, const char *path)
{
    const char *last = strrchr(path, ' ');
    const struct cli_option *o;

    if (last) {
        (void)fprintf(out, "            case '%s'", path);
        if (c->alias)
            (void)fprintf(out, " '%.*s %s'", (int)(last - path), path, c->alias);
        (void)fprintf(out, "\n                set at '%s'\n", path);
    }
    (void)fputs("            case", out);
    for (size_t i = 0; (o = flag_at(c, i)); i++) {
        if (o->value)
            (void)fprintf(out, " '%s --%s'", path, o->name);
        if (o->value && o->letter)
            (void)fprintf(out, " '%s -%c'", path, o->letter);
    }
    (void)fputs("\n                set pending 1\n", out);
}

static void fish_text(FILE *out, const char *text)
{
    (void)fputs(" -d '", out);
    quoted(out, text, "\\'");
    (void)fputs("'\n", out);
}

static void fish_flag(FILE *out, const struct cli_option *o, const char *path)
{
    (void)fputs("complete -c ati", out);
    if (path)
        (void)fprintf(out, " -n \"__ati_at '%s'\"", path);
    (void)fprintf(out, " -l %s", o->name);
    if (o->letter)
        (void)fprintf(out, " -s %c", o->letter);
    if (o->choices) {
        (void)fputs(" -x -a '", out);
        choices(out, o);
        (void)fputc('\'', out);
    } else if (o->value) {
        (void)fputs(" -r -F", out);
    }
    fish_text(out, o->help);
}

static void fish_command(FILE *out, const struct cli_command *c, const char *path)
{
    for (size_t i = 0; i < c->command_count; i++) {
        const struct cli_command *sub = cli_sub(c, i);

        (void)fprintf(out, "complete -c ati -n \"__ati_at '%s'\" -a '%s%s%s'", path, sub->name,
                      sub->alias ? " " : "", sub->alias ? sub->alias : "");
        fish_text(out, sub->summary);
    }
    for (size_t i = 0; i < c->option_count; i++)
        fish_flag(out, &c->options[i], path);
    if (c->takes_tool)
        (void)fprintf(out, "complete -c ati -n \"__ati_at '%s'\" -a '(__ati_tools)'\n", path);
    else if (c->words_most)
        (void)fprintf(out, "complete -c ati -n \"__ati_at '%s'\" -F\n", path);
    if (c->verbatim)
        (void)fprintf(out, "complete -c ati -n \"__ati_at '%s +'\" -F\n", path);
}

static void fish(FILE *out)
{
    (void)fputs("# fish completion of ati, made by \"ati completion fish\".\n"
                "function __ati_at\n"
                "    set -l at ati\n"
                "    set -l pending\n"
                "    set -l more ''\n"
                "    set -l words (commandline -opc)\n"
                "    for word in $words[2..-1]\n"
                "        if set -q pending[1]\n"
                "            set pending\n"
                "            continue\n"
                "        end\n"
                "        switch \"$at $word\"\n",
                out);
    each_command(out, &cli_root, cli_root.name, fish_path);
    (void)fputs("            case '* -*'\n"
                "            case '*'\n"
                "                set more ' +'\n"
                "        end\n"
                "    end\n"
                "    test \"$at$more\" = \"$argv[1]\"\n"
                "end\n\n"
                "function __ati_tools\n    " TOOLS "\nend\n\n"
                "complete -c ati -f\n",
                out);
    for (size_t i = 0; i < cli_global_count; i++)
        fish_flag(out, &cli_globals[i], NULL);
    each_command(out, &cli_root, cli_root.name, fish_command);
}

/* ------------------------------------------------------------------------------------------------- */

static int completion(struct cli *cli, const struct cli_words *words)
{
    static const struct {
        const char *shell;
        void (*write)(FILE *out);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(words->words[0], shells[i].shell) == 0)
            return shells[i].write(stdout), 0;
    (void)fprintf(stderr, "ati completion: there is one for bash, zsh and fish\n");
    (void)cli;
    return 2;
}

const struct cli_command cli_completion = {
    .name = "completion",
    .summary = "print a script that makes a shell complete ati's words",
    .words = "bash|zsh|fish",
    .words_least = 1,
    .words_most = 1,
    .stateless = true,
    .run = completion,
    .about = "bash:  source <(ati completion bash)\n"
             "zsh:   ati completion zsh >\"${fpath[1]}/_ati\"\n"
             "fish:  ati completion fish >~/.config/fish/completions/ati.fish\n",
};
