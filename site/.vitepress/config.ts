import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitepress';
import { slugOf } from '../../scripts/docs/pages.ts';
import { documents } from '../src/documents.ts';
import { promisesOf } from '../src/home.ts';
import { ICON } from '../src/inputs.ts';
import { repositoryUrl } from '../src/links.ts';
import { navOf, sectionsOf, sidebarOf } from '../src/navigation.ts';

// The working directory is the root of the repository; `site/main.ts` has written the pages.
const sections = sectionsOf(documents());
const { name, claim } = promisesOf(readFileSync('README.md', 'utf8'));
const repository = repositoryUrl();
const base = process.env['SITE_BASE'] ?? '/';

/** Words of a text, those with `_` or `-` whole (`NO_RECIPIENTS`) and in parts. It runs in browsers, so it needs nothing around it. */
function tokenize(text: string): string[] {
  const words = text.split(/[^\p{L}\p{N}_-]+/u);
  return words.flatMap((word) => (/[_-]/.test(word) ? [word, ...word.split(/[_-]+/)] : [word])).filter(Boolean);
}

export default defineConfig({
  title: name,
  description: claim,
  lang: 'en',
  // Where the site is not at the root of its host: SITE_BASE=/groupcast/ npm run site
  base,
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: `${base}${ICON}` }]],
  srcDir: '../.cache/site',
  srcExclude: ['public/**'],
  outDir: 'dist',
  cacheDir: '../.cache/vitepress',
  metaChunk: true,
  // The index of the search is one file, which is loaded when somebody searches.
  vite: { build: { chunkSizeWarningLimit: 1000 } },
  // Anchors are those that GitHub gives headings, so that one link is right in both places.
  // No HTML and no guessed links either: `<id>` and `socket.io` are text there.
  markdown: { html: false, linkify: false, anchor: { slugify: slugOf }, toc: { slugify: slugOf } },
  themeConfig: {
    nav: navOf(sections),
    sidebar: sidebarOf(sections),
    outline: [2, 3],
    search: { provider: 'local', options: { miniSearch: { options: { tokenize } } } },
    ...(repository === undefined ? {} : { socialLinks: [{ icon: 'github', link: repository }] }),
  },
});
