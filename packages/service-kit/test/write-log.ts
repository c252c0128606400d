// A process that logs what it finds in its arguments (JSON), in every way the services do: for `logger.int.test.ts`.
import { createLogger } from '../src/logger.ts';

const [, , json = '{}', level = 'info'] = process.argv;
const fields = JSON.parse(json) as object;
const log = createLogger({ name: 'test', level, production: true });
log.info(fields, 'fields');
log.warn({ err: Object.assign(new Error('failed'), fields) }, 'an error');
log.child(fields).error('a child');
log.debug('debug');
