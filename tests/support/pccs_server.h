/* pccs_server: Intel's certification service for a simulated platform, on a port and a thread of its own, in its moods. */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "serve/serve.h"
#include "sim/platform.h"

enum { PCCS_FIELD_BYTES = 64 * 1024 };

enum pccs_mood { PCCS_GOOD, PCCS_FAILS, PCCS_REDIRECTS, PCCS_FLOODS };

struct pccs_server {
    struct sim_platform *platform; /* lent; its recipe is the server's while it runs */
    char url[LISTENER_NAME_BYTES + 8];
    _Atomic enum pccs_mood mood;
    atomic_uint requests;
    atomic_int document_days, crl_days;
    atomic_bool holds; /* the next request tells that it is there, and waits */
    sem_t there, go_on;
    struct loop *loop;
    struct server *server;
    pthread_t thread;
    struct serve_route routes[4];
    char field[PCCS_FIELD_BYTES]; /* of the answer under way */
};

void pccs_server_open(struct pccs_server *s, struct sim_platform *platform);
void pccs_server_close(struct pccs_server *s);
