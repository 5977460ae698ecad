/* step.h: what a connection without I/O wants next. */
#ifndef ATLS_STEP_H
#define ATLS_STEP_H

enum atls_step {
    ATLS_WANT_READ,       /* send the output, feed more */
    ATLS_WANT_COLLATERAL, /* get what atls_connection_need says, then atls_connection_give_collateral */
    ATLS_ATTESTED,        /* the connection is the application's */
    ATLS_FAILED           /* atls_connection_error */
};

#endif
