const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;

interface Open {
  path: string;
  /** The keys of an object so far; a list counts its items. */
  keys: Set<string> | undefined;
  items: number;
  key: string;
}

/** The path of the value that comes next. */
function pathIn({ path, keys, items, key }: Open): string {
  if (!keys) return `${path}[${items}]`;
  return path === '' ? key : `${path}.${key}`;
}

/**
 * Finds keys that an object has twice, by their paths. A parser takes the last one and says nothing, so that a part of a file is never
 * looked at. `text` is JSON.
 */
export function duplicateKeys(text: string): string[] {
  const found: string[] = [];
  const open: Open[] = [];
  let string = '';
  for (const [token] of text.matchAll(TOKEN)) {
    const at = open.at(-1);
    switch (token) {
      case '{':
      case '[': {
        const keys = token === '{' ? new Set<string>() : undefined;
        open.push({ path: at ? pathIn(at) : '', keys, items: 0, key: '' });
        break;
      }
      case '}':
      case ']':
        open.pop();
        break;
      case ',':
        if (at) at.items += 1;
        break;
      case ':':
        if (at?.keys) {
          at.key = string;
          if (at.keys.has(string)) found.push(pathIn(at));
          at.keys.add(string);
        }
        break;
      default:
        string = JSON.parse(token) as string;
    }
  }
  return found;
}
