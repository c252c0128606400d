import { type JsonValue, nearestText } from '@groupcast/shared';
import { type Compiling, type FieldsOf, isFields, setField, type Template } from './compiling.ts';
import { OPERATORS } from './operators.ts';
import { compileReference } from './references.ts';

/** How deep templates may be nested. */
const MAX_DEPTH = 16;

function compileOperator(operator: string, fields: FieldsOf<JsonValue>, where: Compiling): Template {
  const known = Object.hasOwn(OPERATORS, operator) ? OPERATORS[operator] : undefined;
  if (!known) {
    const names = Object.keys(OPERATORS);
    const near = nearestText(operator, names);
    const advice = near ? `did you mean "${near}"?` : `${names.join(', ')} are`;
    where.faults.add(where.path, `"${operator}" is no operator; ${advice}`);
    return () => undefined;
  }
  const other = Object.keys(fields).find((name) => name !== operator && !known.beside.includes(name));
  if (other !== undefined) {
    const near = nearestText(other, known.beside);
    where.faults.add(
      where.path,
      `"${other}" must not stand beside "${operator}"${near ? `; did you mean "${near}"?` : ''}`,
    );
    return () => undefined;
  }
  return known.compile(fields, where);
}

function compileFields(fields: FieldsOf<JsonValue>, where: Compiling): Template {
  const operator = Object.keys(fields).find((name) => name.startsWith('$'));
  if (operator !== undefined) return compileOperator(operator, fields, where);
  const compiled = Object.entries(fields).map(
    ([name, value]) => [name, compile(value, { ...where, path: `${where.path}.${name}` })] as const,
  );
  return (context) => {
    const made: Record<string, unknown> = {};
    for (const [name, template] of compiled) {
      const value = template(context);
      if (value !== undefined) setField(made, name, value);
    }
    return made;
  };
}

function compile(value: JsonValue, outer: Compiling): Template {
  const where = { ...outer, depth: outer.depth + 1 };
  where.parts.left -= 1;
  if (where.parts.left < 0) return () => undefined;
  if (where.depth > MAX_DEPTH) {
    where.faults.add(where.path, `templates must not be nested more than ${MAX_DEPTH} deep`);
    return () => undefined;
  }
  if (typeof value === 'string') return value.startsWith('$') ? compileReference(value, where) : () => value;
  if (Array.isArray(value)) {
    const items = value.map((item, index) => compile(item, { ...where, path: `${where.path}[${index}]` }));
    return (context) => items.map((item) => item(context) ?? null);
  }
  return isFields(value) ? compileFields(value, where) : () => value;
}

/**
 * Compiles a template: a text that begins with `$` refers to a field of what comes in, an object with a field that begins with `$` is an
 * operator, and everything else stands for itself. Adds what is wrong to `faults`; `parts.left` is below zero where it has too many.
 */
export function compileTemplate(
  value: JsonValue,
  where: Omit<Compiling, 'uses' | 'depth' | 'inEach' | 'compile'>,
): Template {
  return compile(value, { ...where, uses: [], depth: 0, inEach: false, compile });
}
