import { readdirSync, readFileSync } from 'node:fs';

/** One fenced block of a document. */
export interface CodeBlock {
  document: string;
  line: number;
  language: string;
  /** The word after the language: the context that the block stands in. */
  context: string | undefined;
  code: string;
}

/** Every document of the repository that people read; folders of generated or foreign files are left out. */
export function documents(): string[] {
  const inFolder = (folder: string): string[] =>
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.md'))
      .map((entry) => `${folder}/${entry.name}`);
  const packages = ['packages', 'services', 'apps'].flatMap((folder) =>
    readdirSync(folder).flatMap((name) => inFolder(`${folder}/${name}`)),
  );
  const rest = [
    'docs',
    'docs/adr',
    'docs/guides',
    'docs/moving',
    'docs/reference',
    'deploy',
    'attack',
    'bench',
  ].flatMap(inFolder);
  return [...inFolder('.').map((file) => file.slice(2)), ...rest, ...packages];
}

export function codeBlocks(): CodeBlock[] {
  return documents().flatMap((document) => {
    const text = readFileSync(document, 'utf8');
    return Array.from(text.matchAll(/^```([^\n]*)\n([\s\S]*?)^```$/gm), (match) => {
      const [language = '', context] = (match[1] ?? '').trim().split(/\s+/);
      const line = text.slice(0, match.index).split('\n').length;
      return { document, line, language, context, code: match[2] ?? '' };
    });
  });
}

/** The one block of `document` that has `mark` in it. */
export function codeBlock(document: string, mark: string): CodeBlock {
  const [found, second] = codeBlocks().filter((block) => block.document === document && block.code.includes(mark));
  if (!found || second) throw new Error(`there is not one block with ${JSON.stringify(mark)} in ${document}`);
  return found;
}
