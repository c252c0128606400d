import { existsSync, readFileSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import type { Document } from './documents.ts';

/** A link or a picture, also where its text has brackets or a line break in it. */
const LINK = /(!?)\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)/g;
const FENCE = /(^```[\s\S]*?^```$)/m;
/** Marks of generated parts, on lines of their own: the site renders no HTML. */
const COMMENT = /^<!--[\s\S]*?-->\n/gm;
const ASSET = /\.(?:png|jpg|svg|json)$/;

/** Text with the targets of its links as the site has them, and the files that they need beside the pages. */
export interface Linked {
  text: string;
  /** Paths from the root of the repository. */
  assets: string[];
  /** Links that lead nowhere: `page: link`. */
  dead: string[];
}

/** The address of the repository's files, as `package.json` names it, or undefined. */
export function repositoryUrl(file = 'package.json'): string | undefined {
  const { repository } = JSON.parse(readFileSync(file, 'utf8')) as { repository?: string | { url?: string } };
  const url = typeof repository === 'string' ? repository : repository?.url;
  return url
    ?.replace(/^git\+/, '')
    .replace(/\.git$/, '')
    .replace(/^github:/, 'https://github.com/');
}

/** Where an asset lies in the site: beside the pages of `docs/`. */
export const assetPath = (source: string): string => source.replace(/^docs\//, '');

/**
 * The text of `document` with links to pages made absolute, links to assets pointing to their copies, and links to other files of the
 * repository pointing there, or become plain text where `package.json` names no address. Code stays as it is.
 */
export function linked(document: Document, pages: ReadonlyMap<string, string>, repository: string | undefined): Linked {
  const assets = new Set<string>();
  const dead: string[] = [];

  function pageFor(path: string): string | undefined {
    return pages.get(path) ?? pages.get(posix.join(path, 'README.md'));
  }

  function replace(link: string, picture: string, label: string, target: string): string {
    if (/^(?:[a-z]+:|#)/.test(target)) return link;
    const [path = '', anchor] = target.split('#', 2);
    const file = posix.join(posix.dirname(document.source), path).replace(/\/$/, '');
    const page = pageFor(file);
    if (page !== undefined) return `[${label}](/${page}${anchor === undefined ? '' : `#${anchor}`})`;
    if (!existsSync(file)) {
      dead.push(`${document.source}: ${target}`);
      return link;
    }
    if (ASSET.test(file)) {
      assets.add(file);
      if (picture) return `![${label}](/${assetPath(file)})`;
      return `[${label}](${posix.relative(posix.dirname(document.page), assetPath(file))})`;
    }
    const kind = statSync(file).isDirectory() ? 'tree' : 'blob';
    return repository === undefined ? label : `[${label}](${repository}/${kind}/HEAD/${file})`;
  }

  const text = document.text
    .split(FENCE)
    .map((part) => (part.startsWith('```') ? part : part.replace(COMMENT, '').replace(LINK, replace)))
    .join('');
  return { text, assets: [...assets], dead };
}
