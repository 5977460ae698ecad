#include <stdlib.h>
#include <sys/wait.h>

#include "child/child_priv.h"
#include "net/owner.h"

struct child_job {
    struct loop *loop;
    struct child *child;
    child_done *done;
    void *context;
    struct timer timer;
    struct child_output output;
};

static void collect(void *context, struct view piece)
{
    struct child_job *job = context;
    struct err err = {0};

    if (job->output.too_large || buf_append(&job->output.text, piece, &err))
        return;
    job->output.too_large = true;
    job->output.starved = err.code != ERR_LIMIT;
    buf_done(&job->output.text);
    child_stop(job->child);
}

static void finish(struct child_job *job)
{
    timer_cancel(&job->timer);
    job->done(job->context, &job->output);
    buf_done(&job->output.text);
    free(job);
}

static void ended(void *context, int status, struct view error)
{
    struct child_job *job = context;

    job->output.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    job->output.signo = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    job->output.error = error;
    finish(job);
}

static void failed(void *context, const struct err *err)
{
    struct child_job *job = context;

    job->output.exit_code = -1;
    job->output.failed = err;
    finish(job);
}

static void timed_out(struct loop *loop, struct timer *timer)
{
    struct child_job *job = OWNER(timer, struct child_job, timer);

    (void)loop;
    job->output.timed_out = true;
    child_stop(job->child);
}

bool child_run(struct loop *loop, const struct child_command *command, size_t output_max,
               uint64_t timeout_ms, child_done *done, void *context, struct child_job **out,
               struct err *err)
{
    static const struct child_receiver receiver = {collect, ended, failed};
    struct child_job *job = calloc(1, sizeof *job);

    if (!job)
        return err_set(err, ERR_MEMORY, "%.200s: no memory for a process", command->program);
    job->loop = loop;
    job->done = done;
    job->context = context;
    buf_init(&job->output.text, output_max, "a program's output");
    buf_count(&job->output.text, command->memory);
    timer_init(&job->timer, timed_out);
    if (!child_start(loop, command, false, &receiver, job, &job->child, err)) {
        free(job);
        return false;
    }
    if (timeout_ms)
        timer_set(loop, &job->timer, loop_now_ms(loop) + timeout_ms);
    *out = job;
    return true;
}

void child_cancel(struct child_job *job)
{
    timer_cancel(&job->timer);
    child_abandon(job->child);
    buf_done(&job->output.text);
    free(job);
}
