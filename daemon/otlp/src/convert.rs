//! From Prometheus' data model to OTLP's, as OpenTelemetry's specification of their compatibility says.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric::Data, number_data_point::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model as prometheus;

/// Who sends.
#[derive(Clone, Debug)]
pub struct Service {
    /// `service.name`.
    pub name: &'static str,
    /// `service.version`.
    pub version: &'static str,
    /// `service.instance.id`.
    pub instance: String,
}

/// Of when figures are.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Since when is counted.
    pub begun: SystemTime,
    /// Until when.
    pub now: SystemTime,
}

/// All figures as one request.
pub fn request<'a>(
    families: Vec<prometheus::MetricFamily>,
    service: &Service,
    attributes: impl IntoIterator<Item = (&'a String, &'a String)>,
    moment: Moment,
) -> ExportMetricsServiceRequest {
    let own = [
        ("service.name", service.name),
        ("service.version", service.version),
        ("service.instance.id", &service.instance),
    ];
    let own = own.into_iter().map(|(name, value)| attribute(name, value));
    let further = attributes.into_iter().map(|(name, value)| attribute(name, value));
    let scope = InstrumentationScope {
        name: service.name.to_owned(),
        version: service.version.to_owned(),
        ..InstrumentationScope::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes: own.chain(further).collect(),
                ..Resource::default()
            }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope),
                metrics: families
                    .into_iter()
                    .filter_map(|family| metric(family, moment))
                    .collect(),
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

/// Nothing where a family has no figure yet, or is of a kind that none of ours is of.
fn metric(family: prometheus::MetricFamily, moment: Moment) -> Option<Metric> {
    let (kind, metrics) = (family.r#type(), family.metric);
    if metrics.is_empty() {
        return None;
    }
    let data = match kind {
        prometheus::MetricType::Counter => Data::Sum(Sum {
            data_points: metrics.iter().filter_map(|metric| counted(metric, moment)).collect(),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        }),
        prometheus::MetricType::Gauge => Data::Gauge(Gauge {
            data_points: metrics.iter().filter_map(|metric| gauged(metric, moment)).collect(),
        }),
        prometheus::MetricType::Histogram => Data::Histogram(Histogram {
            data_points: metrics.iter().filter_map(|metric| histogram(metric, moment)).collect(),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        }),
        _ => return None,
    };
    // What a name says of kind and unit is said otherwise here.
    let name = family.name.strip_suffix("_total").unwrap_or(&family.name);
    let name = name
        .strip_suffix(&family.unit)
        .and_then(|name| name.strip_suffix('_'))
        .unwrap_or(name);
    Some(Metric {
        name: name.to_owned(),
        description: family.help,
        unit: unit(&family.unit),
        data: Some(data),
        ..Metric::default()
    })
}

fn counted(metric: &prometheus::Metric, moment: Moment) -> Option<NumberDataPoint> {
    Some(NumberDataPoint {
        start_time_unix_nano: nanoseconds(moment.begun),
        ..number(&metric.label, metric.counter.as_ref()?.value, moment)
    })
}

fn gauged(metric: &prometheus::Metric, moment: Moment) -> Option<NumberDataPoint> {
    Some(number(&metric.label, metric.gauge.as_ref()?.value, moment))
}

fn number(labels: &[prometheus::LabelPair], value: f64, moment: Moment) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(labels),
        time_unix_nano: nanoseconds(moment.now),
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

/// Buckets are cumulative there, and each by itself here; the last one has no upper bound.
fn histogram(metric: &prometheus::Metric, moment: Moment) -> Option<HistogramDataPoint> {
    let histogram = metric.histogram.as_ref()?;
    let mut below = 0;
    let (mut bucket_counts, mut explicit_bounds) = (Vec::new(), Vec::new());
    for bucket in histogram.bucket.iter().filter(|bucket| bucket.upper_bound.is_finite()) {
        bucket_counts.push(bucket.cumulative_count - below);
        explicit_bounds.push(bucket.upper_bound);
        below = bucket.cumulative_count;
    }
    bucket_counts.push(histogram.sample_count - below);
    Some(HistogramDataPoint {
        attributes: attributes(&metric.label),
        start_time_unix_nano: nanoseconds(moment.begun),
        time_unix_nano: nanoseconds(moment.now),
        count: histogram.sample_count,
        sum: Some(histogram.sample_sum),
        bucket_counts,
        explicit_bounds,
        ..HistogramDataPoint::default()
    })
}

/// In UCUM, as OTLP wants it.
fn unit(unit: &str) -> String {
    match unit {
        "bytes" => "By",
        "seconds" => "s",
        other => other,
    }
    .to_owned()
}

fn attributes(labels: &[prometheus::LabelPair]) -> Vec<KeyValue> {
    labels
        .iter()
        .map(|label| attribute(&label.name, &label.value))
        .collect()
}

fn attribute(name: &str, value: &str) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
