/** How the generation of `a` stands to that of `b`: below 0 it was replaced by it. */
export function compareGenerations(a: string, b: string): number {
  return Number.parseInt(a, 10) - Number.parseInt(b, 10);
}
