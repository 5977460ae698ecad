/* How far a server is, on its way from the hub's loop to the asker's. */
#include <stdlib.h>

#include "ati/mcp/mcp_priv.h"

struct mcp_note {
    struct mcp_note *next;
    size_t len;
    char params[];
};

static struct mcp_note *first(struct mcp_notes *n)
{
    struct mcp_note *note = n->first;

    if (note) {
        n->first = note->next;
        n->count--;
    }
    return note;
}

static void tell(mcp_progressed *told, void *context, struct mcp_note *note)
{
    told(context, view_from(note->params, note->len));
    free(note);
}

/* One note, and when there are more, this once more. Who is told may cancel: nothing here is ours then. */
static void noted(struct loop *loop, struct post *post)
{
    struct mcp_ask *ask = OWNER(post, struct mcp_ask, notes.post);
    struct mcp_notes *n = &ask->notes;
    mcp_progressed *told = ask->progressed;
    void *context = ask->context;
    struct mcp_note *note;
    bool more, last;

    pthread_mutex_lock(&n->lock);
    note = ask->cancelled ? NULL : first(n);
    more = note && n->first;
    n->posted = more;
    last = n->over && !more && !n->answering;
    pthread_mutex_unlock(&n->lock);
    if (more)
        loop_post(loop, post);
    if (last)
        mcp_ask_free(ask);
    if (note)
        tell(told, context, note);
}

void mcp_notes_init(struct mcp_notes *n)
{
    n->post.run = noted;
    pthread_mutex_init(&n->lock, NULL);
}

void mcp_notes_done(struct mcp_notes *n)
{
    while (n->first)
        free(first(n));
    pthread_mutex_destroy(&n->lock);
}

static struct mcp_note *note_new(struct view params)
{
    struct mcp_note *note = NULL;

    if (params.len <= MCP_PROGRESS_BYTES_MAX)
        note = malloc(sizeof *note + params.len);
    if (note) {
        note->next = NULL;
        note->len = params.len;
        if (params.at)
            memcpy(note->params, params.at, params.len);
    }
    return note;
}

void mcp_notes_add(struct mcp_ask *ask, struct view params)
{
    struct mcp_notes *n = &ask->notes;
    struct mcp_note *note = note_new(params), *oldest = NULL, **end = &n->first;
    bool post;

    if (!note)
        return; /* nobody waits for it */
    pthread_mutex_lock(&n->lock);
    if (n->count == MCP_PROGRESS_MAX)
        oldest = first(n);
    while (*end)
        end = &(*end)->next;
    *end = note;
    n->count++;
    post = !n->posted;
    n->posted = true;
    pthread_mutex_unlock(&n->lock);
    if (post)
        loop_post(ask->asker, &n->post);
    free(oldest);
}

bool mcp_notes_end(struct mcp_notes *n, bool answering)
{
    bool last;

    pthread_mutex_lock(&n->lock);
    n->over = true;
    n->answering = answering;
    last = !answering && !n->posted;
    pthread_mutex_unlock(&n->lock);
    return last;
}

void mcp_notes_tell(struct mcp_ask *ask)
{
    struct mcp_note *note;

    while (!ask->cancelled && (note = first(&ask->notes)) != NULL)
        tell(ask->progressed, ask->context, note);
}

bool mcp_notes_answered(struct mcp_notes *n)
{
    bool last;

    pthread_mutex_lock(&n->lock);
    n->answering = false;
    last = !n->posted;
    pthread_mutex_unlock(&n->lock);
    return last;
}
