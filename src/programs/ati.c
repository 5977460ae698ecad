/* ati: tools for agents: the command line, and the gateway that holds their credentials ("ati proxy"). */
#include <unistd.h>

#include "ati/cli/cli.h"

int main(int argc, char **argv)
{
    return ati_main(argc, argv, environ);
}
