import type { Person } from '../server/people';

export function SignIn({ people, problem }: { people: readonly Person[]; problem: string | null }) {
  return (
    <main className="card">
      <h1>Who are you?</h1>
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      <form className="people" method="post" action="/sign-in">
        {people.map(({ id, name, isStaff }) => (
          <button key={id} name="person" value={id}>
            {name}
            {isStaff && <small>may announce</small>}
          </button>
        ))}
      </form>
      <p className="soft">Open a second browser, or a private window, and be somebody else there.</p>
    </main>
  );
}
