/** The socket event and the HTTP path of each command of a trusted back end. */
export const COMMAND_ENDPOINTS = {
  broadcast: { event: 'api-broadcast-message', path: '/v1/broadcast' },
  batch: { event: 'api-broadcast-batch', path: '/v1/batch' },
  notify: { event: 'api-notify-users', path: '/v1/notify' },
  'add-members': { event: 'api-add-members', path: '/v1/members/add' },
  'remove-members': { event: 'api-remove-members', path: '/v1/members/remove' },
  'update-cursors': { event: 'api-update-cursors', path: '/v1/cursors' },
  'disconnect-users': { event: 'api-disconnect-users', path: '/v1/disconnect' },
} as const satisfies Readonly<Record<string, { event: string; path: string }>>;
