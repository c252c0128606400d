// A process that logs what its arguments say (JSON), in every way the services do: for `logger.int.test.ts`.
import { createLogger } from '../src/logger.ts';

const [, , fields = '{}', ofError = '{}', level = 'info'] = process.argv;
const bindings = JSON.parse(fields) as object;
const log = createLogger({ name: 'test', level, production: true });
log.info(bindings, 'fields');
log.warn({ err: Object.assign(new Error('failed'), JSON.parse(ofError)) }, 'an error');
log.child(bindings).error('a child');
log.debug('debug');
