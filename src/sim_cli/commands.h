/* commands: what `atlas-sim` can do. Exit status: 0 done, 2 usage, others as err.h has them. */
#pragma once

int sim_init(int argc, char **argv, char **environment);
int sim_quote_command(int argc, char **argv, char **environment);
int sim_serve(int argc, char **argv, char **environment);
