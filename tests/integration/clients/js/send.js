// Sends COUNT log records through one of the SDK's exporters: node send.js grpc|http|proto ENDPOINT COUNT
const { LoggerProvider, BatchLogRecordProcessor } = require('@opentelemetry/sdk-logs');
const { resourceFromAttributes } = require('@opentelemetry/resources');

const [kind, endpoint, count] = process.argv.slice(2);
const { OTLPLogExporter } = require('@opentelemetry/exporter-logs-otlp-' + kind);
const url = kind === 'grpc' ? 'http://' + endpoint : 'http://' + endpoint + '/v1/logs';
const exporter = new OTLPLogExporter({ url, compression: kind === 'http' ? 'none' : 'gzip' });
const provider = new LoggerProvider({
  resource: resourceFromAttributes({ 'service.name': 'js-' + kind }),
  processors: [new BatchLogRecordProcessor({ exporter })],
});
const logger = provider.getLogger('test');
for (let i = 0; i < Number(count); i++) {
  logger.emit({ severityNumber: 17, severityText: 'ERROR', body: `basket ${i} was lost`, attributes: { 'cart.id': String(i) } });
}
provider.shutdown().then(() => process.exit(0), (err) => { console.error(err); process.exit(1); });
