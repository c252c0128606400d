import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';

/** One Markdown file of the repository, and the page of the site that it becomes. */
export interface Document {
  /** Its path from the root of the repository. */
  source: string;
  /** Its path from the root of the site; an `index.md` where the source is a README. */
  page: string;
  title: string;
  text: string;
}

/** Folders whose Markdown files are pages, all of them or their READMEs alone. */
const FOLDERS = [
  { folder: 'docs', all: true },
  { folder: 'examples', all: false },
  { folder: 'packages', all: false },
  { folder: 'sdks', all: false },
  { folder: 'deploy', all: false },
] as const;
const SKIPPED = new Set(['node_modules', 'dist', 'dist-types']);
const AT_THE_ROOT = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md'];
/** The first page is the index of `docs/`. */
export const HOME = 'index.md';
/** Names that pages of `docs/` have already. */
const RENAMED: Readonly<Record<string, string>> = { 'README.md': 'overview.md', 'SECURITY.md': 'reporting.md' };

function markdownIn(folder: string, all: boolean): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : markdownIn(path, all);
      return entry.name === 'README.md' || (all && entry.name.endsWith('.md')) ? [path] : [];
    });
}

/** The page that a document of this path becomes: `docs/` is the root of the site. */
export function pageOf(source: string): string {
  const renamed = RENAMED[source];
  if (renamed !== undefined) return renamed;
  const path = source.startsWith('docs/') ? source.slice('docs/'.length) : source;
  const name = posix.basename(path);
  if (name === 'README.md') return posix.join(posix.dirname(path), HOME);
  return path.includes('/') ? path : path.toLowerCase();
}

/** The text without code that is fenced. */
export const withoutFences = (text: string): string => text.replace(/^```[\s\S]*?^```$/gm, '');

function titleOf(text: string): string {
  return /^# (.+)$/m.exec(withoutFences(text))?.[1]?.replaceAll('`', '') ?? '';
}

/** Every document that is a page, and a page with a list for each folder that has several and no README. */
export function documents(): Document[] {
  const sources = [...FOLDERS.flatMap(({ folder, all }) => markdownIn(folder, all)), ...AT_THE_ROOT];
  const found = sources.map((source) => {
    const text = readFileSync(source, 'utf8');
    return { source, page: pageOf(source), title: titleOf(text), text };
  });
  return [...found, ...lists(found)];
}

/** Titles of the folders of `docs/` without a README. */
const LISTED: Readonly<Record<string, string>> = { 'docs/adr': 'Decisions' };

function lists(found: readonly Document[]): Document[] {
  return Object.entries(LISTED)
    .filter(([folder]) => found.every(({ source }) => source !== `${folder}/README.md`))
    .map(([folder, title]) => {
      const inside = found.filter(({ source }) => posix.dirname(source) === folder);
      const items = inside.map((document) => `- [${document.title}](${posix.basename(document.source)})`);
      const source = `${folder}/README.md`;
      return { source, page: pageOf(source), title, text: `# ${title}\n\n${items.join('\n')}\n` };
    });
}
