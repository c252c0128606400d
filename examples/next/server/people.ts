export interface Person {
  id: string;
  name: string;
  /** Staff may announce something in a group. */
  isStaff: boolean;
}

/** The demo's users. An application reads them from its database. */
export const PEOPLE: readonly Person[] = [
  { id: 'alice', name: 'Alice', isStaff: true },
  { id: 'bob', name: 'Bob', isStaff: false },
  { id: 'carol', name: 'Carol', isStaff: false },
];
