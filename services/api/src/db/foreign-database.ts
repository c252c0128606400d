import { ConfigurationError } from '@groupcast/service-kit';
import type { Queryable } from './database.ts';

/** Tables of the schema in which a table would be created, those of extensions apart, with the names of their columns. */
const TABLES = `select c.relname::text as name, n.nspname::text as schema,
    array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = current_schema() and c.relkind in ('r', 'p', 'f') and not exists (
    select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  order by c.relname`;
const OURS = ['name', 'sha256', 'applied_at'];

/**
 * Throws `ConfigurationError` where the schema has tables, and no migration of Groupcast was ever applied: DATABASE_URL may be another
 * application's, read in a `.env` of its folder. A `schema_migrations` alone says nothing, because Rails has a table of that name.
 */
export async function refuseForeignDatabase(tx: Queryable): Promise<void> {
  const { rows: tables } = await tx.query<{ name: string; schema: string; columns: string[] }>(TABLES);
  const isOurs = ({ name, columns }: (typeof tables)[number]): boolean =>
    name === 'schema_migrations' && OURS.every((column) => columns.includes(column));
  const foreign = tables.find((table) => !isOurs(table));
  if (foreign === undefined) return;
  if (tables.some(isOurs) && (await tx.query('select name from schema_migrations limit 1')).count > 0) return;
  throw new ConfigurationError([
    `DATABASE_URL names a database of another application: "${foreign.name}" is in its schema "${foreign.schema}", and Groupcast was never there. Give Groupcast a database of its own, or a role whose search_path is a schema of its own`,
  ]);
}
