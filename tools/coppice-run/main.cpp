#include "tools/coppice-run/Commands.h"

int main(int argc, char **argv) { return coppice_run_main(argc, argv); }
