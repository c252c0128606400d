const PATHS = {
  phone:
    'M5.2 3.2 7 3l1.7 3.8-1.6 1.5a9.6 9.6 0 0 0 4.6 4.6l1.5-1.6L17 13l-.2 1.8a2 2 0 0 1-2.1 1.8A12.5 12.5 0 0 1 3.4 5.3a2 2 0 0 1 1.8-2.1Z',
  camera: 'M3 6.2h8.6v7.6H3zM11.6 9.4 17 6.6v6.8l-5.4-2.8',
  microphone:
    'M10 3a2.2 2.2 0 0 1 2.2 2.2v4a2.2 2.2 0 0 1-4.4 0v-4A2.2 2.2 0 0 1 10 3ZM5.4 9.4a4.6 4.6 0 0 0 9.2 0M10 14v3',
} as const;

export function CallIcon({ name, off = false }: { name: keyof typeof PATHS; off?: boolean }) {
  return (
    <svg viewBox="0 0 20 20" aria-hidden="true">
      <path d={PATHS[name]} />
      {off && <path d="m3.5 3.5 13 13" />}
    </svg>
  );
}
