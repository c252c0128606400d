/**
 * How often a service looks how late its event loop is, in milliseconds. Each look wakes the process: at Node's own 10 ms, with a histogram for each
 * question, a service that had nothing to do woke 150 times a second, for 1 % of a core.
 */
export const EVENT_LOOP_RESOLUTION_MS = 50;
