import { explainIssue, nearestText } from '@groupcast/shared';
import type { z } from 'zod';
import type { Faults } from './compiling.ts';
import {
  acknowledgementSchema,
  commandRuleSchema,
  dialectFileSchema,
  eventRuleSchema,
  httpRouteSchema,
  sayingSchema,
} from './file-schema.ts';

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** `http[0].path` */
function textOf(path: Path): string {
  const text = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
  return text.replace(/^\./, '') || 'the file';
}

/** The keys that an object at this place may have. */
function keysAt([first, , third]: Path): string[] {
  const shapes: Readonly<Record<string, object>> = {
    commands: third === 'answer' ? sayingSchema.shape : commandRuleSchema.shape,
    events: eventRuleSchema.shape,
    refusal: sayingSchema.shape,
    acknowledgement: acknowledgementSchema.shape,
    http: httpRouteSchema.shape,
  };
  return Object.keys(shapes[String(first)] ?? dialectFileSchema.shape);
}

function unknownKey(key: string, path: Path): string {
  const keys = keysAt(path);
  const near = nearestText(key, keys);
  return `is no key of a dialect here; ${near ? `did you mean "${near}"?` : `${keys.join(', ')} are`}`;
}

/** Of a value that may have several forms, the issues with the form that it has. */
function issuesOfForm(issue: Extract<Issue, { code: 'invalid_union' }>): readonly Issue[] | undefined {
  return (
    issue.errors.find((issues) => issues.length > 0 && issues.every(({ path }) => path.length > 0)) ??
    issue.errors.find((issues) => issues.some(({ code }) => code !== 'invalid_type'))
  );
}

/** Adds what is wrong with the form of a file, by its path. */
export function addFormFaults(issues: readonly Issue[], input: unknown, faults: Faults, at: Path = []): void {
  for (const issue of issues) {
    const path = [...at, ...issue.path];
    const form = issue.code === 'invalid_union' && issue.message === 'Invalid input' ? issuesOfForm(issue) : undefined;
    if (form) {
      addFormFaults(form, input, faults, path);
    } else if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) faults.add(textOf([...path, key]), unknownKey(key, path));
    } else {
      const message =
        issue.code === 'invalid_union' && issue.message === 'Invalid input'
          ? 'must be an object, or a list of them'
          : explainIssue({ ...issue, path }, input).replace(/^Invalid (?:input|option): /, '');
      faults.add(textOf(path), message);
    }
  }
}
