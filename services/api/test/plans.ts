import type { Database, Queryable, Row } from '../src/db/database.ts';

interface Plan {
  'Actual Loops': number;
  'Actual Rows': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Join Filter'?: number;
  Plans?: Plan[];
}

function stepsOf(plan: Plan): number {
  const removed = (plan['Rows Removed by Filter'] ?? 0) + (plan['Rows Removed by Join Filter'] ?? 0);
  const own = plan['Actual Loops'] * (1 + plan['Actual Rows'] + removed);
  return (plan.Plans ?? []).reduce((sum, part) => sum + stepsOf(part), own);
}

export interface StepCounter {
  q: Queryable;
  steps: () => number;
}

type Explain = (text: string, params: readonly unknown[]) => Promise<{ rows: { 'QUERY PLAN': { Plan: Plan }[] }[] }>;

function countSteps(db: Database, explain: Explain): StepCounter {
  let steps = 0;
  return {
    steps: () => steps,
    q: {
      async query<R extends Row>(text: string, params: readonly unknown[] = []) {
        const { rows } = await explain(text, params);
        for (const { Plan: plan } of rows[0]?.['QUERY PLAN'] ?? []) steps += stepsOf(plan);
        return db.query<R>(text, params);
      },
    },
  };
}

/** Counts the rows that PostgreSQL looks at, and how often it looks: they are the cost, whatever the machine. */
export function createStepCounter(db: Database): StepCounter {
  return countSteps(db, async (text, params) => db.query(`explain (analyze, format json) ${text}`, params));
}

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

function literal(value: unknown): string {
  if (value === null) return 'null';
  return quoted(Array.isArray(value) ? `{${value.map((item) => JSON.stringify(item)).join(',')}}` : String(value));
}

/**
 * The same for the plan that a session keeps once it has prepared a statement and used it a few times: it knows none of the values, nor which of
 * them are null. It leaves the session with such plans.
 */
export function createGenericStepCounter(db: Database): StepCounter {
  return countSteps(db, async (text, params) => {
    await db.script(`set plan_cache_mode = force_generic_plan; prepare counted as ${text}`);
    const values = params.map(literal).join(', ');
    const answer: Awaited<ReturnType<Explain>> = await db.query(
      `explain (analyze, format json) execute counted(${values})`,
    );
    await db.script('deallocate counted');
    return answer;
  });
}
