import { posix } from 'node:path';
import { type Document, withoutFences } from './documents.ts';

/** One page in the list of pages, with the pages of its folder below it. */
export interface Entry {
  document: Document;
  title: string;
  /** The words after the link in the index; empty where there are none. */
  description: string;
  items: Entry[];
}

export interface Section {
  title: string;
  entries: Entry[];
}

export const INDEX = 'docs/README.md';

/** The documents that a page links to, in the order of their first links. */
function linksOf(page: Document, bySource: ReadonlyMap<string, Document>): Document[] {
  const targets = Array.from(withoutFences(page.text).matchAll(/\]\(([^)#\s]+)/g), ([, target = '']) =>
    posix.join(posix.dirname(page.source), target).replace(/\/$/, ''),
  );
  const found = targets.map((path) => bySource.get(path) ?? bySource.get(`${path}/README.md`));
  return [...new Set(found.filter((document) => document !== undefined))];
}

/** Sections of the site: those of the index, each with the pages that it names, and below a README the other pages of its folder. */
export function sectionsOf(documents: readonly Document[]): Section[] {
  const bySource = new Map(documents.map((document) => [document.source, document]));
  const index = bySource.get(INDEX);
  if (!index) throw new Error(`there is no ${INDEX}`);
  const parts = index.text.split(/^## /m).slice(1);
  const named = new Set(linksOf(index, bySource));
  const placed = new Set<Document>();

  function below(parent: Document): Entry[] {
    if (posix.basename(parent.source) !== 'README.md' || posix.dirname(parent.source) === '.') return [];
    const folder = `${posix.dirname(parent.source)}/`;
    const inFolder = documents.filter(({ source }) => source.startsWith(folder) && source !== parent.source);
    const ordered = [...linksOf(parent, bySource).filter((document) => inFolder.includes(document)), ...inFolder];
    return ordered
      .filter((document) => !named.has(document))
      .flatMap((document) => entry(document, document.title, ''));
  }

  function entry(document: Document, title: string, description: string): Entry[] {
    if (placed.has(document)) return [];
    placed.add(document);
    return [{ document, title, description, items: below(document) }];
  }

  return parts.map((part) => {
    const [title = ''] = part.split('\n', 1);
    const items = part.replace(/\n {2,}/g, ' ').matchAll(/^- \[([^\]]+)\]\(([^)#\s]+)[^)]*\)(?:: (.*))?$/gm);
    const entries = Array.from(items).flatMap(([, label = '', target = '', description = '']) => {
      const path = posix.join(posix.dirname(INDEX), target).replace(/\/$/, '');
      const document = bySource.get(path) ?? bySource.get(`${path}/README.md`);
      return document ? entry(document, label, description) : [];
    });
    return { title, entries };
  });
}

/** The address of a page in the site. */
export const addressOf = ({ page }: Document): string => `/${page.replace(/(?:index)?\.md$/, '')}`;

interface SidebarItem {
  text: string;
  link: string;
  collapsed?: boolean;
  items?: SidebarItem[];
}

const itemOf = ({ document, title, items }: Entry): SidebarItem => ({
  text: title,
  link: addressOf(document),
  ...(items.length > 0 ? { collapsed: true, items: items.map(itemOf) } : {}),
});

export const sidebarOf = (sections: readonly Section[]): { text: string; items: SidebarItem[] }[] =>
  sections.map(({ title, entries }) => ({ text: title, items: entries.map(itemOf) }));

/** One button of the top bar for each section, which leads to its first page. */
export const navOf = (sections: readonly Section[]): { text: string; link: string }[] =>
  sections.flatMap(({ title, entries: [first] }) => (first ? [{ text: title, link: addressOf(first.document) }] : []));
