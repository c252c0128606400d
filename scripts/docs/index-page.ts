import { ERROR_CODES } from '../../packages/shared/src/index.ts';
import { TO_BROWSERS, TO_MONITORS } from './event-tables.ts';
import { CLIENT_EVENTS, SERVICE_EVENTS } from './events.ts';
import { metrics } from './metrics.ts';
import { headingsOf, paragraph, slugOf } from './pages.ts';
import { variables } from './variables.ts';

/** Every page of the reference by its name, as it stands now. */
export type Pages = Readonly<Record<string, string>>;

const isRoute = (text: string): boolean => /^(?:GET|POST|PATCH|DELETE) \//.test(text);
/** `POST /api/messaging/groups/:groupId/read` as `POST /…/groups/:groupId/read`: lines of the index are short. */
const short = (route: string): string => route.replace('/api/messaging/', '/…/');

/** Links to every name that the reference explains, a paragraph a kind. */
export function indexOfNames(pages: Pages): string {
  const links = (page: string, names: readonly string[], shownAs = (name: string) => name): string => {
    const known = new Map(
      headingsOf(pages[page] ?? '').flatMap((heading) =>
        heading
          .replace(/ †$/, '')
          .split(', ')
          .map((name) => [name, slugOf(heading)] as const),
      ),
    );
    const words = names.map((name) => {
      if (!known.has(name)) throw new Error(`${page}.md has no heading that names ${name}`);
      // A space would let a link be divided between two lines.
      return `[\`${shownAs(name).replace(' ', ' ')}\`](${page}.md#${known.get(name)})`;
    });
    return paragraph(words.map((word, at) => (at === words.length - 1 ? word : `${word},`)));
  };
  const routesOn = (page: string): string[] =>
    headingsOf(pages[page] ?? '')
      .flatMap((heading) => heading.split(', '))
      .filter(isRoute);
  const { relay, api } = metrics();
  const names = variables().map(({ name }) => name);
  return [
    `## Variables\n\n${links('configuration', names.toSorted())}`,
    `## Events\n\nFrom browsers:\n${links('browser-events', Object.keys(CLIENT_EVENTS))}`,
    `To browsers:\n${links('browser-events', Object.keys(TO_BROWSERS))}`,
    `From back ends:\n${links('broadcast-api', Object.keys(SERVICE_EVENTS))}`,
    `To monitors:\n${links('broadcast-api', Object.keys(TO_MONITORS))}`,
    `## Routes\n\nOf the API:\n${links('http-api', routesOn('http-api'), short)}`,
    `Of the relay's internal port:\n${links('broadcast-api', routesOn('broadcast-api'))},\n${links('drain', routesOn('drain'))}`,
    `## Codes\n\n${links('errors', Object.keys(ERROR_CODES))}`,
    `## Metrics\n\n${links(
      'metrics',
      [...relay, ...api].map(({ name }) => name),
    )}`,
  ].join('\n\n');
}
