import { Chat } from '../components/chat';
import { SignIn } from '../components/sign-in';
import { SESSION_MESSAGES } from '../server/answers';
import { configuration } from '../server/configuration';
import { PEOPLE } from '../server/people';
import { readSession } from '../server/session';

/** The shell, made on the server: it knows the person by the cookie, and tells the browser no secret. */
export default async function Page() {
  const { person, problem } = await readSession();
  if (!person) {
    return <SignIn people={PEOPLE} problem={problem === 'SIGNED_OUT' ? null : SESSION_MESSAGES[problem]} />;
  }
  return <Chat apiUrl={configuration.apiUrl} me={person} people={PEOPLE} />;
}
