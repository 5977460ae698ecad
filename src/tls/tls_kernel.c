#include "tls/tls.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static void probe(void);
static bool connect_pair(int listener, int client);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool available;

bool tls_kernel_available(void)
{
    (void)pthread_once(&once, probe);
    return available;
}

/* The kernel takes an upper-layer protocol only on a connected socket: we connect to ourselves. */
static void probe(void)
{
    static const char name[] = "tls";
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    available = listener >= 0 && client >= 0 && connect_pair(listener, client) &&
                setsockopt(client, IPPROTO_TCP, TCP_ULP, name, sizeof name) == 0;
    if (listener >= 0)
        close(listener);
    if (client >= 0)
        close(client);
}

static bool connect_pair(int listener, int client)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *const sa = (struct sockaddr *)&a;
    socklen_t len = sizeof a;

    return bind(listener, sa, len) == 0 && listen(listener, 1) == 0 &&
           getsockname(listener, sa, &len) == 0 && connect(client, sa, len) == 0;
}
