#!/bin/sh
# build.sh OUTPUT: the program's own reduction for SimGrid's simulator.
root=$(dirname "$0")/../..
cd "$root" && smpicc -std=c11 -D_GNU_SOURCE -DMPI_Init_thread=step_init_thread -O2 -Iinclude -Isrc -o "$1" jobs/scaling/step.c \
  src/comm/collective.c src/comm/comm.c src/comm/direct.c src/comm/exact.c src/comm/exact_loops.c src/comm/exchange.c src/comm/pipeline.c \
  src/comm/pipeline_run.c src/comm/progress.c src/comm/watchdog.c src/base/status.c src/base/text.c src/base/log.c -lm
