/** Says in one line why a service cannot start, and what to do. It is shown without a stack. */
export class StartFailure extends Error {
  override readonly name = 'StartFailure';
}
