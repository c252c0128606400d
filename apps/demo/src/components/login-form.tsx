import { type SubmitEvent, useState } from 'react';
import type { LoginFormState } from '../session.ts';
import { Brand } from './brand.tsx';

interface LoginFormProps extends LoginFormState {
  onLogIn: (name: string) => Promise<void>;
}

export function LoginForm({ initialName, busy, error, onLogIn }: LoginFormProps) {
  const [name, setName] = useState(initialName);

  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    void onLogIn(name);
  };

  return (
    <main className="login">
      <form className="login-card" onSubmit={onSubmit}>
        <Brand />
        <h1>Join the chat</h1>
        <p className="muted">A demo without passwords: whoever types a name is that person.</p>
        <label className="field">
          <span>Your name</span>
          <input
            name="name"
            dir="auto"
            value={name}
            onChange={(event) => setName(event.target.value)}
            placeholder="Alice"
            autoComplete="off"
            autoCapitalize="words"
            maxLength={40}
            required
            autoFocus
            aria-invalid={error !== null}
            aria-describedby={error === null ? undefined : 'login-error'}
          />
        </label>
        {error !== null && (
          <p className="error" id="login-error" role="alert">
            {error}
          </p>
        )}
        <button className="button primary" type="submit" disabled={busy || name.trim() === ''}>
          {busy ? 'Logging in …' : 'Log in'}
        </button>
      </form>
    </main>
  );
}
