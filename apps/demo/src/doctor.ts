import type { Session } from './session.ts';

/** With `?groupcast-doctor` in the address, each client of the session gets a doctor, whose panel is open. It is loaded only then. */
export async function callDoctor(session: Session): Promise<void> {
  if (!new URLSearchParams(location.search).has('groupcast-doctor')) return;
  const { attachDoctor } = await import('@groupcast/client/doctor');
  let detach = (): void => undefined;
  let client: object | undefined;
  session.subscribe(() => {
    const screen = session.getScreen();
    const next = screen.name === 'chat' ? screen.client : undefined;
    if (next === client) return;
    client = next;
    detach();
    detach = () => undefined;
    if (!next) return;
    const doctor = attachDoctor(next);
    ({ detach } = doctor);
    void doctor.open();
  });
}
