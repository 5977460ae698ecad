/* commands: what `atls` can do. Each reads its own settings from argv and returns an exit status: 0 good, 1 refused
 * (verify) or the class of the failure (the others, see attest_err.h), 2 usage. */
#pragma once

int atls_verify(int argc, char **argv, char **environment);
int atls_inspect(int argc, char **argv, char **environment);
int atls_get(int argc, char **argv, char **environment);
int atls_post(int argc, char **argv, char **environment);
int atls_connect(int argc, char **argv, char **environment);
int atls_policy(int argc, char **argv, char **environment);
int atls_collateral(int argc, char **argv, char **environment);
