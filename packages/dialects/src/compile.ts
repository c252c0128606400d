import { compileCommands } from './commands.ts';
import { createCompiler } from './compiler.ts';
import type { Faults } from './compiling.ts';
import type { Dialect } from './dialect.ts';
import { compileEvents } from './events.ts';
import type { DialectFile } from './file-schema.ts';
import { compileRoutes } from './http.ts';
import { compileSaying, sayAll } from './sayings.ts';

const HTTP_ERROR = { error: '$' };

/** A dialect, and the definitions of its file that its templates use. */
export interface Compiled {
  dialect: Dialect;
  used: ReadonlySet<string>;
}

/** Compiles a file whose form has been checked. Adds what is wrong to `faults`; a dialect with faults must not be used. */
export function compileDialect(file: DialectFile, faults: Faults): Compiled {
  const compiler = createCompiler(faults, file.definitions ?? {});
  const commands = compileCommands(file, compiler);
  const { say, tellsViewersApart, saysStatus } = compileEvents(file, compiler);
  const refusal = file.refusal ? [compileSaying(file.refusal, 'error', 'refusal', compiler)] : [];
  const failure = compiler.template(file.acknowledgement?.failure, 'acknowledgement.failure');
  const http = compileRoutes(file.http ?? [], compiler);
  const httpError = compiler.template(file.httpError === undefined ? HTTP_ERROR : file.httpError, 'httpError');
  const used = new Set(compiler.used);
  // Those that nobody uses may have faults too.
  for (const name of Object.keys(file.definitions ?? {})) {
    if (!used.has(name)) compiler.template({ $use: name }, 'definitions');
  }
  const dialect: Dialect = {
    name: file.name,
    noun: file.noun ?? 'group',
    groups: file.groups ?? 'token',
    recovers: file.connectionStateRecovery ?? false,
    tellsViewersApart,
    commandNames: commands.names,
    eventNames: commands.eventNames,
    saysStatus,
    hear: commands.hear,
    say,
    refuse: (answer) => failure([answer]) ?? null,
    refusals: (refused) => sayAll(refusal, refused),
    sendsByHttpToo: commands.sendsByHttpToo,
    http,
    httpError: (error) => httpError([error]) ?? null,
  };
  return { dialect, used };
}
