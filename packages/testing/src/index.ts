export { type Balancer, startBalancer } from './balancer.ts';
export { EXHAUSTIBLE, type HeldConnections, holdConnections } from './descriptors.ts';
export { type Member, startMember } from './member.ts';
export { type Heard, hear } from './notifications.ts';
export { LINKS, type OwnNetwork, startOwnNetwork } from './own-network.ts';
export { type PathProxy, startPathProxy } from './path-proxy.ts';
export { type PgBouncer, startPgBouncer } from './pgbouncer.ts';
export { freePort } from './ports.ts';
export { type PostgresServer, startPostgres } from './postgres.ts';
export { type ManagedProcess, manage, startNode } from './processes.ts';
export { askRaw, openRaw, openServer, type RawConnection } from './raw-http.ts';
export {
  type RedisCluster,
  type RedisSentinel,
  type RedisServer,
  startRedis,
  startRedisCluster,
  startRedisSentinel,
} from './redis.ts';
export { seededRandom } from './seeded-random.ts';
export { openSqlSession, type SqlSession } from './sql-session.ts';
export {
  type ServiceProcess,
  type System,
  startApiProcess,
  startRelayProcess,
  startSystem,
  TEST_SECRETS,
} from './system.ts';
export { type Carry, startTcpProxy, type TcpProxy } from './tcp-proxy.ts';
export { tokenFor, tokenWith } from './tokens.ts';
export { startTurnServer, TURN } from './turn-server.ts';
export { schemasOf, unboundedParts } from './unbounded-parts.ts';
export { received, until } from './until.ts';
export { connectAs } from './user-socket.ts';
