#include "ati/cli/tool.h"

#include "base/codec.h"
#include "base/text.h"
#include "child/child.h"

#include "base/poison.h"

enum { OUTPUT_BYTES_MAX = 1024 * 1024 };
#define CUT "\n[... truncated]"

struct asked {
    struct cli_local *local;
    struct buf *out;
    bool over;
};

/* At a character, so that what is left is UTF-8 where it was. */
static struct view first_characters(struct view text, size_t max)
{
    size_t used = 0;

    for (size_t n = 0; n < max && used < text.len; n++) {
        uint32_t code;
        size_t bytes = utf8_first(view_skip(text, used), &code);

        used += bytes ? bytes : 1;
    }
    return view_first(text, used);
}

static void told(void *context, struct child_output *output)
{
    struct asked *a = context;
    struct view text = text_trim(buf_view(&output->text)),
                shown = first_characters(text, TOOL_HELP_CHARACTERS);

    a->over = true;
    if (output->exit_code == 0 && !output->timed_out && shown.len)
        (void)!(buf_append(a->out, shown, NULL) &&
                (shown.len == text.len || buf_append_str(a->out, CUT, NULL)));
    cli_work_finish(&a->local->work);
}

/* It may not be there, or know no such word: then it tells nothing. False: err, or a signal came. */
static bool ask(struct cli_local *l, const struct tool_provider *p, char **environment,
                const char *word, struct buf *out, struct err *err)
{
    const char *arguments[] = {word, NULL};
    const struct child_command command = {
        .program = p->cli_command, .arguments = arguments, .environment = environment};
    struct asked a = {.local = l, .out = out};
    struct child_job *job;
    bool good;

    l->work.finished = false;
    if (!child_run(l->work.loop, &command, OUTPUT_BYTES_MAX, TOOL_HELP_MS, told, &a, &job, NULL))
        return true;
    good = cli_work_run(&l->work, err);
    if (!a.over)
        child_cancel(job);
    return good;
}

bool tool_help(struct cli_local *l, const struct tool_provider *p, struct buf *out, struct err *err)
{
    static const char *const names[] = {"PATH", "HOME", "TMPDIR", "LANG", "USER", "TERM", NULL};
    struct child_environment environment;
    bool good;

    if (!p->cli_command || !cli_local_work(l, p->cli_command, err))
        return !p->cli_command;
    if (!child_environment_init(&environment, l->cli->environment, names, err))
        return false;
    good = ask(l, p, environment.list, "--help", out, err) &&
           (buf_len(out) || ask(l, p, environment.list, "help", out, err));
    child_environment_done(&environment);
    return good;
}
