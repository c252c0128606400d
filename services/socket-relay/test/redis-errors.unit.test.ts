import { describe, expect, test } from 'vitest';
import { inOurWords, isMisdirection, isRefusal } from '../src/redis/errors.ts';

describe('an error of Redis', () => {
  test.each([
    ["READONLY You can't write against a read only replica.", true],
    ["READONLY You can't write against a read only replica. script: 1f2, on @user_script:60.", true],
    [
      "ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write against a read only replica.",
      true,
    ],
    ['LOADING Redis is loading the dataset in memory', true],
    ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", true],
    ['UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)', true],
    ["OOM command not allowed when used memory > 'maxmemory'.", false],
    ['NOREPLICAS Not enough good replicas to write.', false],
    ['WRONGTYPE Operation against a key holding the wrong kind of value', false],
    ["ERR unknown command 'READONLYISH'", false],
  ])('that says "%s" leads elsewhere: %s', (message, isElsewhere) => {
    expect(isMisdirection(new Error(message), 'server')).toBe(isElsewhere);
  });

  test.each([
    ['LOADING Redis is loading the dataset in memory', false],
    ['ERR Error running script (call to f_1): @user_script:1: -LOADING Redis is loading the dataset in memory', false],
    ['UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)', true],
    ["READONLY You can't write against a read only replica.", true],
  ])('of one node of a cluster that says "%s" leads elsewhere: %s', (message, isElsewhere) => {
    expect(isMisdirection(new Error(message), 'cluster')).toBe(isElsewhere);
  });

  test.each([
    ['WRONGPASS invalid username-password pair or user is disabled.', true],
    ['NOAUTH Authentication required.', true],
    ["NOPERM User somebody has no permissions to run the 'eval' command", true],
    ['ERR invalid password', true],
    ['connect ECONNREFUSED 127.0.0.1:6379', false],
  ])('that says "%s" refuses the relay: %s', (message, isRefused) => {
    expect(isRefusal(new Error(message))).toBe(isRefused);
  });

  test.each([
    [
      'Reached the max retries per request limit (which is 0). Refer to "maxRetriesPerRequest" option for details.',
      'the connection to redis was lost',
    ],
    ["Stream isn't writeable and enableOfflineQueue options is false", 'redis is away'],
    ["Cluster isn't ready and enableOfflineQueue options is false", 'redis is away'],
    ['Connection is closed.', 'the connection to redis was lost'],
    ['Command timed out', 'redis did not answer in time'],
    ['OOM command not allowed', 'OOM command not allowed'],
  ])('"%s" is "%s"', (message, words) => {
    expect(inOurWords(new Error(message)).message).toBe(words);
  });
});
