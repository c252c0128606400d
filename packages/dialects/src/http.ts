import { nearestText } from '@groupcast/shared';
import { checkFields, unknownCommand } from './commands.ts';
import type { Compiler } from './compiler.ts';
import type { HttpRoute } from './dialect.ts';
import type { HttpRouteRule } from './file-schema.ts';
import { HTTP_COMMANDS, type HttpCommandName } from './vocabulary.ts';

/** The parts of a request. */
const REQUEST = ['params', 'query', 'body'];

const isHttpCommand = (name: string): name is HttpCommandName => Object.hasOwn(HTTP_COMMANDS, name);

function parametersOf(path: string): string[] {
  return Array.from(path.matchAll(/:([^/]*)/g), ([, name = '']) => name);
}

/** Finds references to what a request does not have. */
function refuser(parameters: readonly string[]) {
  return ([first, second]: readonly string[]): string | undefined => {
    if (first === undefined) return 'is the whole request; name its fields: "$.params.…", "$.query.…", "$.body.…"';
    const isParameter = first === 'params' && second !== undefined;
    const [name, known, what] = isParameter
      ? ([second, parameters, 'parameter of the path'] as const)
      : ([first, REQUEST, 'part of a request'] as const);
    if (known.includes(name)) return undefined;
    const near = nearestText(name, known);
    return `names no ${what}; ${near ? `did you mean "${near}"?` : `there: ${known.join(', ') || 'none'}`}`;
  };
}

function compileRoute(rule: HttpRouteRule, path: string, compiler: Compiler): HttpRoute {
  const { faults } = compiler;
  if (isHttpCommand(rule.command)) {
    checkFields(rule.with, HTTP_COMMANDS[rule.command], `${path}.with`, faults);
  } else {
    faults.add(`${path}.command`, unknownCommand(rule.command, Object.keys(HTTP_COMMANDS)));
  }
  // A page of another site makes a browser send a GET with its cookies.
  if (rule.method === 'GET' && rule.command === 'send-message') faults.add(`${path}.method`, 'GET must change nothing');
  const parameters = parametersOf(rule.path);
  if (new Set(parameters).size < parameters.length) faults.add(`${path}.path`, 'names a parameter twice');
  const input = compiler.template(rule.with, `${path}.with`, { refuses: refuser(parameters) });
  const answer = compiler.template(rule.answer, `${path}.answer`);
  return {
    method: rule.method,
    path: rule.path,
    command: rule.command as HttpCommandName,
    status: rule.status ?? 200,
    input: (request) => input([request]),
    answer: (result) => answer([result]) ?? null,
  };
}

/** Compiles the routes. Two of one method and one form (`/a/:b` and `/a/:c`) are a fault. */
export function compileRoutes(rules: readonly HttpRouteRule[], compiler: Compiler): HttpRoute[] {
  const forms = new Set<string>();
  return rules.map((rule, index) => {
    const path = `http[${index}]`;
    const form = `${rule.method} ${rule.path.replaceAll(/:[^/]*/g, ':')}`;
    if (forms.has(form)) compiler.faults.add(path, `there is another route for ${rule.method} ${rule.path}`);
    forms.add(form);
    return compileRoute(rule, path, compiler);
  });
}
