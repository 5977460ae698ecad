/* collect: the whole answer in memory. */
#include "client/client_priv.h"

#include "base/poison.h"

enum { KEPT_BYTES_MAX = 64 * 1024 }; /* of a body's memory, for the next call */

static void too_large(struct client_call *call)
{
    struct err err = {0};

    (void)err_set(&err, ERR_LIMIT, "%s: the answer is longer than %zu bytes",
                  call->origin->authority, call->bytes_max);
    client_finish(call, CLIENT_TOO_LARGE, &err);
}

static void out_of_memory(struct client_call *call, const struct err *err)
{
    client_finish(call, CLIENT_MEMORY, err);
}

static void collect_head(void *context, const struct http_head *head)
{
    struct client_call *call = context;
    const struct http_exchange *x = &call->conn->exchange;
    uint64_t length = x->plan.kind == HTTP_BODY_LENGTH ? x->plan.left : 0;
    struct client_answer *a = &call->answer;
    struct err err = {0};
    uint8_t *room;

    a->status = head->status;
    if (length > call->bytes_max)
        too_large(call);
    else if (!buf_append(&a->head, call->head_bytes, &err) ||
             (length &&
              !buf_room(&a->body, length < KEPT_BYTES_MAX ? (size_t)length : KEPT_BYTES_MAX, &room,
                        &err)))
        out_of_memory(call, &err);
}

static void collect_piece(void *context, struct view piece)
{
    struct client_call *call = context;
    struct buf *body = &call->answer.body;
    struct err err = {0};

    if (piece.len > call->bytes_max - buf_len(body))
        too_large(call);
    else if (!buf_append(body, piece, &err))
        out_of_memory(call, &err);
}

static void collect_done(void *context, const struct client_end *end)
{
    struct client_call *call = context;

    call->answer.end = *end;
    call->collected(call->receiver_context, &call->answer);
}

struct client_call *client_collect(struct client *c, const struct client_request *request,
                                   size_t bytes_max, client_collected *done, void *context,
                                   struct err *err)
{
    static const struct client_receiver receiver = {collect_head, collect_piece, collect_done};
    struct client_call *call = client_start(c, request, &receiver, NULL, err);

    if (!call)
        return NULL;
    call->context = call;
    call->receiver_context = context;
    call->collected = done;
    call->bytes_max = bytes_max;
    call->answer.status = 0;
    buf_reset(&call->answer.head);
    if (call->answer.body.area) {
        call->answer.body.max = bytes_max;
    } else {
        buf_init(&call->answer.body, bytes_max, "answer");
        buf_count(&call->answer.body, c->memory);
    }
    return call;
}

void client_collect_reset(struct client_call *call)
{
    struct buf *body = &call->answer.body;

    if (!call->collected)
        return;
    buf_reset(&call->answer.head);
    buf_reset(body);
    if (body->size > KEPT_BYTES_MAX)
        buf_done(body);
}

bool client_answer_field(const struct client_answer *a, struct view name, struct view *value)
{
    struct http_parser parser;
    struct http_head head;

    http_parser_init(&parser);
    return http_response_parse(&parser, buf_view(&a->head), &head) == HTTP_DONE &&
           http_field(&head, name, value);
}
