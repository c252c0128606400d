/** The first page: the promises of the README at the root above the index of `docs/`. */

/** Markdown as a front matter's text has it. */
const plain = (text: string): string =>
  text
    .replace(/\*\*|`/g, '')
    .replace(/\s+/g, ' ')
    .trim();

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

export interface Promises {
  name: string;
  /** The first sentence, which is bold. */
  claim: string;
  /** The sentence after it. */
  explanation: string;
  features: { title: string; details: string }[];
}

/** What the README says first: its title, its bold sentence, the one after it, and its first list. */
export function promisesOf(readme: string): Promises {
  const [, name = ''] = /^# (.+)$/m.exec(readme) ?? [];
  const [, claim = '', explanation = ''] = /^\*\*([\s\S]+?)\*\* ([\s\S]+?\.)\s/m.exec(readme) ?? [];
  const [list = ''] = /(?:^- .+\n(?: {2}.+\n)*)+/m.exec(readme) ?? [];
  const features = Array.from(list.matchAll(/^- (.+\n(?: {2}.+\n)*)/gm), ([, item = '']) => {
    const text = plain(item);
    const at = text.search(/[,:] /);
    return { title: text.slice(0, at), details: capital(text.slice(at + 2)) };
  });
  return { name, claim: plain(claim), explanation: plain(explanation), features };
}

/** The first page: a front matter of the home layout (JSON is YAML too), with the picture of the index, above the rest of the index. */
export function homeOf(promises: Promises, index: string): string {
  const { name, claim, explanation, features } = promises;
  const [picture = '', alt = '', src = ''] = /!\[([^\]]*)\]\(([^)]+)\)\n*/.exec(index) ?? [];
  const actions = [
    { theme: 'brand', text: 'Start', link: '/start' },
    { theme: 'alt', text: 'Concepts', link: '/concepts' },
    { theme: 'alt', text: 'Comparison', link: '/comparison' },
  ];
  const hero = { name, text: claim, tagline: explanation, image: { src, alt }, actions };
  const text = index.replace(picture, '');
  return `---\nlayout: home\nhero: ${JSON.stringify(hero)}\nfeatures: ${JSON.stringify(features)}\n---\n\n${text}`;
}
