import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Document, documents, HOME } from './documents.ts';
import { homeOf, promisesOf } from './home.ts';
import { assetPath, linked, repositoryUrl } from './links.ts';
import { llmsFullOf, llmsOf } from './llms.ts';
import { type Section, sectionsOf } from './navigation.ts';

/** The icon of the demo page, for the tabs of the site. */
export const ICON = 'favicon.svg';

/** Everything that VitePress is given, made of the documents of the repository. */
export interface Inputs {
  documents: Document[];
  sections: Section[];
  /** The text of each page, by its path in the site. */
  pages: Map<string, string>;
  /** Generated files beside the pages. */
  files: Map<string, string>;
  /** Paths, from the root of the repository, of files that are copied. */
  assets: string[];
  dead: string[];
}

/** Makes all inputs. The working directory is the root of the repository. */
export function inputs(): Inputs {
  const found = documents();
  const bySource = new Map(found.map(({ source, page }) => [source, page]));
  const repository = repositoryUrl();
  const results = found.map((document) => ({ document, ...linked(document, bySource, repository) }));
  const pages = new Map(results.map(({ document, text }) => [document.page, text]));
  const sections = sectionsOf(found);
  const promises = promisesOf(readFileSync('README.md', 'utf8'));
  const files = new Map([
    ['llms.txt', llmsOf(promises.name, `${promises.claim} ${promises.explanation}`, sections)],
    ['llms-full.txt', llmsFullOf(sections, (page) => pages.get(page) ?? '')],
    [ICON, readFileSync('apps/demo/public/favicon.svg', 'utf8')],
    // Each page as Markdown too, for programs that read: these are the addresses in llms.txt.
    ...pages,
  ]);
  const home = pages.get(HOME);
  if (home !== undefined) pages.set(HOME, homeOf(promises, home));
  const assets = [...new Set(results.flatMap((result) => result.assets))];
  return { documents: found, sections, pages, files, assets, dead: results.flatMap((result) => result.dead) };
}

/** Writes the inputs into `folder`, and removes pages that are none any more. A file that is the same is left alone. */
export function writeInputs(folder: string, { pages, files, assets }: Inputs): void {
  const wanted = new Map([...pages, ...Array.from(files, ([path, text]) => [`public/${path}`, text] as const)]);
  for (const [path, text] of wanted) {
    const file = join(folder, path);
    if (existsSync(file) && readFileSync(file, 'utf8') === text) continue;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  for (const asset of assets) cpSync(asset, join(folder, 'public', assetPath(asset)), { recursive: true });
  const there = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.md'));
  for (const path of there) if (!wanted.has(path)) rmSync(join(folder, path));
}
