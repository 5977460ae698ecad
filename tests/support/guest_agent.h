/* guest_agent: dstack's guest agent for tests, on a socket of its own and with a thread of its own: what it is asked is answered by a
 * simulated guest, unless its mood is another. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "sim/guest.h"

enum agent_mood {
    AGENT_FAITHFUL,
    AGENT_CHUNKED,    /* the body in chunks, byte by byte */
    AGENT_UNTIL_END,  /* the body without a length, ended by closing */
    AGENT_KEEPS_OPEN, /* answers, and does not close */
    AGENT_SILENT,     /* takes the question and says nothing */
    AGENT_CUT,        /* closes in the middle of the body */
    AGENT_NO_HTTP,
    AGENT_REFUSES, /* with status and text */
};

struct guest_agent;
/* The answer's body. NULL in the agent: as the simulated guest answers. */
typedef bool agent_answer(struct guest_agent *a, struct view method, struct view body,
                          struct buf *out, struct err *err);

struct guest_agent {
    char path[108]; /* empty: on TCP */
    uint16_t port;
    const struct sim_platform *platform;
    struct sim_guest *guest;
    _Atomic enum agent_mood mood;
    int status;       /* of AGENT_REFUSES */
    const char *text; /* and its body */
    const char *only; /* the method that the mood is for; NULL: every one */
    agent_answer *answer;
    char asked[512]; /* the head of the last question */
    int listener, stop;
    pthread_t thread;
};

/* path NULL: on a free port of 127.0.0.1. Platform and guest are lent. */
void guest_agent_open(struct guest_agent *a, const char *path, const struct sim_platform *platform,
                      struct sim_guest *guest);
void guest_agent_close(struct guest_agent *a);
