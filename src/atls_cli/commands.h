/* commands: what `atls` can do. Each reads its own settings from argv and returns an exit status: 0 good, 1 refused
 * (verify) or the class of the failure (the others, see attest_err.h), 2 usage. */
#pragma once

int cli_verify(int argc, char **argv, char **environment);
int cli_inspect(int argc, char **argv, char **environment);
int cli_get(int argc, char **argv, char **environment);
int cli_post(int argc, char **argv, char **environment);
int cli_connect(int argc, char **argv, char **environment);
int cli_policy(int argc, char **argv, char **environment);
int cli_collateral(int argc, char **argv, char **environment);
int cli_bench(int argc, char **argv, char **environment);
int cli_receipt(int argc, char **argv, char **environment);
