/** The mark and the name. */
export function Brand() {
  return (
    <span className="brand">
      <svg className="brand-mark" viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="9" />
        <circle cx="10.5" cy="16" r="3.5" />
        <path d="M17 9.5a9.2 9.2 0 0 1 0 13M21.5 6.5a15 15 0 0 1 0 19" />
      </svg>
      <span className="brand-name">Groupcast</span>
    </span>
  );
}
