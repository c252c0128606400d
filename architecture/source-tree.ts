import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Node, type SourceFile, SyntaxKind } from 'typescript/unstable/ast';
import {
  isCallExpression,
  isFunctionLikeDeclaration,
  isIdentifier,
  isImportTypeNode,
  isLiteralTypeNode,
  isNoSubstitutionTemplateLiteral,
  isPropertyAccessExpression,
  isStringLiteral,
  isTemplateExpression,
} from 'typescript/unstable/ast/is';
import { API } from 'typescript/unstable/sync';

/** The root of the repository. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

/** One TypeScript file, as the parser sees it. */
export interface ParsedFile {
  /** From the root of the repository: `services/api/src/main.ts`. */
  path: string;
  tree: SourceFile;
}

/** A function with a body, wherever it stands. */
export interface FunctionInfo {
  name: string;
  path: string;
  /** The line it begins on, from 1. */
  line: number;
  /** Number of lines from its first to its last, those of functions inside it included. */
  lines: number;
  /** Number of its lines without the bodies of functions inside it. */
  ownLines: number;
}

/** The workspaces that have a `src`, from the root of the repository: `services/api`. */
export function packages(): string[] {
  return ['apps', 'packages', 'services'].flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => existsSync(join(ROOT, folder, name, 'src')))
      .map((name) => `${folder}/${name}`),
  );
}

const FOLDERS = ['apps/*/src', 'packages/*/src', 'services/*/src', 'apps/*/test', 'packages/*/test', 'services/*/test'];
const OTHER_FOLDERS = ['architecture', 'attack', 'bench', 'e2e', 'scripts'];

let parsed: readonly ParsedFile[] | undefined;

/** Every TypeScript file of the repository that is ours: sources, tests, measurements. Parsed once. */
export function parsedFiles(): readonly ParsedFile[] {
  parsed ??= parse([...FOLDERS, ...OTHER_FOLDERS]);
  return parsed;
}

/**
 * The parser of TypeScript 7 reads projects, not files. This project exists in the parser's view of the disk only, as do `texts`: it
 * resolves no module and checks no type, so that all files together take less than a second.
 */
export function parse(include: readonly string[], texts: Readonly<Record<string, string>> = {}): ParsedFile[] {
  const config = join(ROOT, 'tsconfig.architecture.json');
  const compilerOptions = {
    noResolve: true,
    noLib: true,
    types: [],
    module: 'nodenext',
    jsx: 'preserve',
    noEmit: true,
  };
  const files = Object.keys(texts).map((path) => join(ROOT, path));
  const virtual = new Map(Object.entries(texts).map(([path, text]) => [join(ROOT, path), text]));
  virtual.set(config, JSON.stringify({ compilerOptions, include, files }));
  const api = new API({
    cwd: ROOT,
    fs: { readFile: (path) => virtual.get(path), fileExists: (path) => (virtual.has(path) ? true : undefined) },
  });
  try {
    const project = api.updateSnapshot({ openProjects: [config] }).getProject(config);
    if (!project) throw new Error('unable to parse the sources; TypeScript opened no project');
    return project.rootFiles.map((path) => {
      const tree = project.program.getSourceFile(path);
      if (!tree) throw new Error(`unable to parse ${path}; TypeScript does not have it`);
      return { path: relative(ROOT, path), tree };
    });
  } finally {
    api.close();
  }
}

/** Calls `visit` with every node of a tree, parents first. */
export function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  node.forEachChild((child) => walk(child, visit));
}

/** The text of a string, or of a template, where `${}` stands for an insertion. */
export function textOf(node: Node | undefined): string | undefined {
  if (!node) return undefined;
  if (isStringLiteral(node) || isNoSubstitutionTemplateLiteral(node)) return node.text;
  if (!isTemplateExpression(node)) return undefined;
  return node.templateSpans.reduce((text, span) => `${text}\${}${span.literal.text}`, node.head.text);
}

/** The module specifiers of a file's imports and re-exports, types included: `./config.ts`, `node:fs`. */
export function importsOf({ tree }: ParsedFile): string[] {
  const specifiers: (string | undefined)[] = tree.imports.map(textOf);
  // `tree.imports` lacks the `import('…')` of a type.
  walk(tree, (node) => {
    if (isImportTypeNode(node) && isLiteralTypeNode(node.argument)) specifiers.push(textOf(node.argument.literal));
    if (isCallExpression(node) && node.expression.kind === SyntaxKind.ImportKeyword) {
      specifiers.push(textOf(node.arguments[0]));
    }
  });
  return [...new Set(specifiers)].filter((specifier) => specifier !== undefined);
}

/** The titles of a file's tests, and of the groups that its tests stand in. */
export function titlesOf({ tree }: ParsedFile): string[] {
  const titles: (string | undefined)[] = [];
  walk(tree, (node) => {
    if (isCallExpression(node) && isTestCall(node.expression)) titles.push(textOf(node.arguments[0]));
  });
  return titles.filter((title) => title !== undefined);
}

export function functionsOf({ path, tree }: ParsedFile): FunctionInfo[] {
  const functions: FunctionInfo[] = [];
  const visit = (node: Node, around: FunctionInfo | undefined): void => {
    let here = around;
    if (isFunctionLikeDeclaration(node) && node.body) {
      const first = tree.getLineAndCharacterOfPosition(node.getStart(tree)).line;
      const lines = tree.getLineAndCharacterOfPosition(node.end).line - first + 1;
      here = { name: nameOf(node), path, line: first + 1, lines, ownLines: lines };
      functions.push(here);
      // The line that it begins on is one of the function around it as well.
      if (around) around.ownLines -= lines - 1;
    }
    node.forEachChild((child) => visit(child, here));
  };
  visit(tree, undefined);
  return functions;
}

/** `test`, `describe.each(…)`, `test.skipIf(…)` and the like. */
function isTestCall(callee: Node): boolean {
  if (isIdentifier(callee)) return ['test', 'it', 'describe'].includes(callee.text);
  if (isPropertyAccessExpression(callee)) return isTestCall(callee.expression);
  return isCallExpression(callee) && isTestCall(callee.expression);
}

/** A function's own name, or the name of the variable, property or call that it is given to. */
function nameOf(node: Node): string {
  if (node.kind === SyntaxKind.Constructor) return 'constructor';
  for (let at: Node | undefined = node; at && at.kind !== SyntaxKind.SourceFile; at = at.parent) {
    const { name } = at as Node & { name?: Node };
    if (name) return name.getText();
    if (isCallExpression(at)) return `${at.expression.getText().split('\n', 1)[0]}(…)`;
  }
  return '(unnamed)';
}
