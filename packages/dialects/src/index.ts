export { checkDialect, type DialectCheck } from './check.ts';
export type { Dialect, Heard, HttpRoute, Said, Saying, Viewing } from './dialect.ts';
export type { DialectFile } from './file-schema.ts';
export {
  BUILT_IN,
  builtInFile,
  builtInWith,
  type LoadedDialect,
  loadDialect,
  loadDialectFile,
  nativeDialect,
} from './load.ts';
export {
  COMMANDS,
  type CommandName,
  type DoorCommand,
  type DoorFrame,
  EVENTS,
  HTTP_COMMANDS,
  type HttpCommandName,
  isDoorCommand,
} from './vocabulary.ts';
