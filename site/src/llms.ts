import type { Entry, Section } from './navigation.ts';

/** `llms.txt`: every page by section, each at the address of its Markdown. */
export function llmsOf(title: string, summary: string, sections: readonly Section[]): string {
  const lineOf = ({ document, title: label, description, items }: Entry, depth = ''): string[] => [
    `${depth}- [${label}](/${document.page})${description ? `: ${description}` : ''}`,
    ...items.flatMap((item) => lineOf(item, `${depth}  `)),
  ];
  const parts = sections.map(
    (section) => `## ${section.title}\n\n${section.entries.flatMap((entry) => lineOf(entry)).join('\n')}\n`,
  );
  return [`# ${title}\n\n> ${summary}\n`, ...parts].join('\n');
}

/** `llms-full.txt`: the text of all pages, in the same order. */
export function llmsFullOf(sections: readonly Section[], textOf: (page: string) => string): string {
  const textsOf = ({ document, items }: Entry): string[] => [
    `<!-- /${document.page} -->\n\n${textOf(document.page).trim()}\n`,
    ...items.flatMap(textsOf),
  ];
  return sections.flatMap(({ entries }) => entries.flatMap(textsOf)).join('\n');
}
