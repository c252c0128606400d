import { readTestOptions } from '../broadcast-test/options.ts';
import { formatReport } from '../broadcast-test/report.ts';
import { runTest } from '../broadcast-test/run-test.ts';
import { type Command, EXIT } from '../command.ts';
import { createProgressBar } from '../progress-bar.ts';
import { readSettings } from '../settings.ts';
import { createPaint } from '../terminal.ts';

const USAGE = `Usage: groupcast test-broadcast [options]

Connects real receivers to the relay, sends messages at a steady rate, and measures
each from just before the send to the handler of every receiver. Exits 1 when a
message was lost, duplicated or out of order, or could not be sent.

  --receivers 10          1 to 5000, one connection and one user each
  --messages 100          1 to 100000; receivers times messages at most 20 million
  --rate 50               messages a second, 1 to 5000, whether or not answers are late
  --via api|relay         api (default): creates a group through the API, posts messages
                          there, deletes the group; relay: broadcasts to the relay as a
                          back end does, without the API
  --transport websocket   websocket or polling
  --group ID              with --via relay: this group instead of a fresh one. Its real
                          members get the test messages too
  --timeout 10s           for each connect, each send, and the last delivery
  --api-url URL           default API_URL, else this machine at API_PORT, else
                          http://localhost:3000
  --relay-url URL         default with --via api: what the API names to browsers;
                          with --via relay: RELAY_URL, else this machine at
                          RELAY_PORT, else http://localhost:3001
  --json                  one object on stdout:
    ok                    true when all of lost, duplicated, outOfOrder, failedSends are 0
    via, transport, groupId, receivers, messages
    acknowledged          messages that the API or relay took
    expectedDeliveries    acknowledged x receivers
    deliveries            first copies, those of messages whose send failed included
    lost                  acknowledged, and not delivered to a receiver in time
    duplicated            further copies at a receiver
    outOfOrder            position {epoch, seq} not above the receiver's previous one
    unpositioned          deliveries without a position (only right with --group)
    failedSends, firstError {code, message} or null
    disconnects, lastDisconnect
    latencyMs             {p50, p95, p99, max} or null
    rate                  {asked, actual} messages a second
    durationMs            from the first send to the end
    toolLoad              busy share of this process while sending, 0 to 1

Signs its own tokens with JWT_SECRET and RELAY_SERVICE_SECRET, or with the generated
secrets in DATA_DIR, as the services do.
`;

export const testBroadcast: Command = {
  usage: USAGE,
  async run(args, { env, stdout, stderr, stopped }) {
    const options = readTestOptions(args);
    const settings = readSettings(env);
    const progress = createProgressBar(stderr, !options.json);
    const report = await runTest(options, {
      settings,
      env,
      stopped,
      progress,
      warn: (text) => stderr.write(`groupcast: ${text}\n`),
    }).catch((error: unknown) => {
      if (stopped.aborted) return undefined;
      throw error;
    });
    if (!report) {
      stderr.write('groupcast: stopped before the end\n');
      return EXIT.interrupted;
    }
    stdout.write(options.json ? `${JSON.stringify(report)}\n` : formatReport(report, createPaint(stdout, env)));
    return report.ok ? EXIT.ok : EXIT.failed;
  },
};
