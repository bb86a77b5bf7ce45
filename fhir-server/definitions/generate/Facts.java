// Prints what HL7's definitions say, as JSON, for one FHIR version: structures, value sets, code systems, compartments and
// search parameters. Everything else (tables, narrowing, checks) is done in Rust by `cargo xtask gen definitions`.
//
// java -cp 'jars/*' Facts.java R4|STU3 > facts.json

import java.io.*;
import java.lang.annotation.Annotation;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.*;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.*;

public class Facts {
    static final String FHIR_TYPE = "structuredefinition-fhir-type";
    static PrintStream out;

    public static void main(String[] args) throws Exception {
        out = new PrintStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 16), false, "UTF-8");
        boolean r4 = args[0].equals("R4");
        String base = "/org/hl7/fhir/" + (r4 ? "r4" : "dstu3") + "/model/";
        List<Element> resources = new ArrayList<>();
        for (String file : new String[] {
            "profile/profiles-types.xml", "profile/profiles-resources.xml",
            "valueset/valuesets.xml", "valueset/v3-codesystems.xml", "valueset/v2-tables.xml"}) {
            resources.addAll(bundle(base + file));
        }
        Map<String, Object> facts = new LinkedHashMap<>();
        facts.put("structures", each(resources, "StructureDefinition", Facts::structure));
        facts.put("valueSets", each(resources, "ValueSet", Facts::valueSet));
        facts.put("codeSystems", each(resources, "CodeSystem", Facts::codeSystem));
        facts.put("terminology", terminology(resources));
        List<Element> profiles = new ArrayList<>();
        for (String file : new String[] {"profile/profiles-others.xml", "extension/extension-definitions.xml"}) {
            profiles.addAll(bundle(base + file));
        }
        facts.put("profiles", each(profiles, "StructureDefinition", Facts::profile));
        facts.put("compartments", each(resources, "CompartmentDefinition", Facts::compartment));
        if (r4) {
            facts.put("searchParameters", new Raw(read(base + "sp/search-parameters.json")));
        } else {
            facts.put("searchParameters", annotated("org.hl7.fhir.dstu3.model"));
        }
        write(facts);
        out.flush();
    }

    // --- definitions in XML

    interface Fact { Object of(Element element); }

    static Object structure(Element definition) {
        Map<String, Object> fact = new LinkedHashMap<>();
        for (String name : new String[] {"url", "name", "kind", "abstract", "type", "baseDefinition", "derivation"}) {
            fact.put(name, value(definition, name));
        }
        List<Object> elements = new ArrayList<>();
        for (Element element : children(child(definition, "snapshot"), "element")) {
            elements.add(element(element));
        }
        fact.put("elements", elements);
        return fact;
    }

    static Object element(Element element) {
        Map<String, Object> fact = new LinkedHashMap<>();
        for (String name : new String[] {"path", "min", "max", "contentReference", "isModifier", "isSummary"}) {
            fact.put(name, value(element, name));
        }
        List<Object> types = new ArrayList<>();
        for (Element type : children(element, "type")) {
            Map<String, Object> typeFact = new LinkedHashMap<>();
            typeFact.put("code", value(type, "code"));
            for (Element extension : children(type, "extension")) {
                if (extension.getAttribute("url").endsWith(FHIR_TYPE)) {
                    Node inner = extension.getElementsByTagName("*").item(0);
                    typeFact.put("code", ((Element) inner).getAttribute("value"));
                }
            }
            typeFact.put("targets", values(type, "targetProfile"));
            types.add(typeFact);
        }
        fact.put("types", types);
        Element binding = child(element, "binding");
        if (binding != null) {
            String valueSet = value(binding, "valueSet");
            if (valueSet == null) valueSet = value(binding, "valueSetUri");
            if (valueSet == null && child(binding, "valueSetReference") != null) {
                valueSet = value(child(binding, "valueSetReference"), "reference");
            }
            fact.put("strength", value(binding, "strength"));
            fact.put("valueSet", valueSet);
        }
        List<Object> constraints = new ArrayList<>();
        for (Element constraint : children(element, "constraint")) {
            constraints.add(fields(constraint, "key", "severity", "human", "expression"));
        }
        fact.put("constraints", constraints);
        return fact;
    }

    static Object valueSet(Element valueSet) {
        Map<String, Object> fact = new LinkedHashMap<>();
        fact.put("url", value(valueSet, "url"));
        Element compose = child(valueSet, "compose");
        fact.put("include", parts(compose, "include"));
        fact.put("exclude", parts(compose, "exclude"));
        return fact;
    }

    static List<Object> parts(Element compose, String name) {
        List<Object> parts = new ArrayList<>();
        for (Element part : children(compose, name)) {
            Map<String, Object> fact = new LinkedHashMap<>();
            fact.put("system", value(part, "system"));
            List<Object> codes = new ArrayList<>();
            for (Element concept : children(part, "concept")) codes.add(value(concept, "code"));
            fact.put("codes", codes);
            fact.put("valueSets", values(part, "valueSet"));
            List<Object> filters = new ArrayList<>();
            for (Element filter : children(part, "filter")) filters.add(fields(filter, "property", "op", "value"));
            fact.put("filters", filters);
            parts.add(fact);
        }
        return parts;
    }

    static Object codeSystem(Element codeSystem) {
        Map<String, Object> fact = fields(codeSystem, "url", "content", "valueSet");
        fact.put("concepts", concepts(codeSystem));
        return fact;
    }

    static List<Object> concepts(Element parent) {
        List<Object> concepts = new ArrayList<>();
        for (Element concept : children(parent, "concept")) {
            Map<String, Object> fact = fields(concept, "code", "display");
            List<Object> inner = concepts(concept);
            if (!inner.isEmpty()) fact.put("concepts", inner);
            List<Object> parents = new ArrayList<>();
            for (Element property : children(concept, "property")) {
                if ("subsumedBy".equals(value(property, "code"))) parents.add(value(property, "valueCode"));
            }
            if (!parents.isEmpty()) fact.put("subsumedBy", parents);
            concepts.add(fact);
        }
        return concepts;
    }

    // --- profiles and definitions of extensions as FHIR JSON: what of their differentials can be checked

    static final Set<String> LISTS = Set.of(
        "type", "constraint", "discriminator", "coding", "given", "prefix", "suffix", "line", "extension");
    static final Set<String> UNCHECKED = Set.of(
        "short", "definition", "comment", "requirements", "alias", "label", "code", "example", "mapping", "meaningWhenMissing",
        "isModifier", "isModifierReason", "isSummary", "mustSupport", "condition", "representation", "base", "orderMeaning",
        "description", "extension", "requirement", "xpath", "aggregation", "versioning");
    static final Set<String> NUMBERS = Set.of("min", "maxLength", "ordered", "userSelected", "value");

    static Object profile(Element definition) {
        Map<String, Object> fact = new LinkedHashMap<>();
        fact.put("resourceType", "StructureDefinition");
        for (String name : new String[] {"url", "version", "name", "kind", "type", "baseDefinition", "derivation"}) {
            fact.put(name, value(definition, name));
        }
        List<Object> elements = new ArrayList<>();
        for (Element element : children(child(definition, "differential"), "element")) {
            Map<String, Object> json = new LinkedHashMap<>();
            if (element.hasAttribute("id")) json.put("id", element.getAttribute("id"));
            checked(element, json, true);
            elements.add(json);
        }
        fact.put("differential", Map.of("element", elements));
        return fact;
    }

    static void checked(Element parent, Map<String, Object> json, boolean top) {
        for (Node node = parent.getFirstChild(); node != null; node = node.getNextSibling()) {
            if (!(node instanceof Element)) continue;
            Element element = (Element) node;
            String name = element.getTagName();
            // `code` says what an element means, but also which type it has
            if (UNCHECKED.contains(name) && !(name.equals("code") && !top)) continue;
            Object value;
            if (element.hasAttribute("value")) {
                String text = element.getAttribute("value");
                boolean bare = NUMBERS.contains(name) && text.matches("-?[0-9.]+|true|false")
                    || name.matches("(fixed|pattern|minValue|maxValue)(Boolean|Integer|Decimal|PositiveInt|UnsignedInt)");
                value = bare ? new Raw(text) : text;
            } else {
                Map<String, Object> inner = new LinkedHashMap<>();
                checked(element, inner, false);
                value = inner;
            }
            boolean repeats = LISTS.contains(name) && (!name.equals("type") || top)
                || parent.getTagName().equals("type") && (name.equals("targetProfile") || name.equals("profile"));
            if (repeats) {
                @SuppressWarnings("unchecked")
                List<Object> items = (List<Object>) json.computeIfAbsent(name, key -> new ArrayList<>());
                items.add(value);
            } else {
                json.put(name, value);
            }
        }
    }

    // --- value sets and code systems as FHIR JSON, without what only people read

    static final Set<String> DROPPED = Set.of(
        "id", "meta", "text", "extension", "identifier", "date", "publisher", "contact", "description", "useContext",
        "jurisdiction", "purpose", "copyright", "expansion", "experimental", "immutable", "lockedDate", "count");
    static final Map<String, Set<String>> REPEATING = Map.of(
        "compose", Set.of("include", "exclude"),
        "include", Set.of("concept", "filter", "valueSet"),
        "exclude", Set.of("concept", "filter", "valueSet"),
        "concept", Set.of("concept", "designation", "property"),
        "CodeSystem", Set.of("concept", "property"));
    static final Set<String> UNQUOTED = Set.of(
        "caseSensitive", "compositional", "versionNeeded", "inactive", "valueBoolean", "valueInteger", "valueDecimal");

    static List<Object> terminology(List<Element> resources) {
        List<Object> facts = new ArrayList<>();
        for (Element resource : resources) {
            String type = resource.getTagName();
            if (!type.equals("ValueSet") && !type.equals("CodeSystem")) continue;
            Map<String, Object> json = new LinkedHashMap<>();
            json.put("resourceType", type);
            json.putAll(json(resource));
            // filters that a code system supports: what the server supports is another matter
            json.remove("filter");
            facts.add(json);
        }
        return facts;
    }

    static Map<String, Object> json(Element parent) {
        Map<String, Object> members = new LinkedHashMap<>();
        for (Node node = parent.getFirstChild(); node != null; node = node.getNextSibling()) {
            if (!(node instanceof Element) || DROPPED.contains(((Element) node).getTagName())) continue;
            Element element = (Element) node;
            String name = element.getTagName();
            Object value = !element.hasAttribute("value") ? json(element)
                : UNQUOTED.contains(name) ? new Raw(element.getAttribute("value"))
                : element.getAttribute("value");
            if (REPEATING.getOrDefault(parent.getTagName(), Set.of()).contains(name)) {
                @SuppressWarnings("unchecked")
                List<Object> items = (List<Object>) members.computeIfAbsent(name, key -> new ArrayList<>());
                items.add(value);
            } else {
                members.put(name, value);
            }
        }
        return members;
    }

    static Object compartment(Element compartment) {
        Map<String, Object> fact = fields(compartment, "code");
        List<Object> resources = new ArrayList<>();
        for (Element resource : children(compartment, "resource")) {
            Map<String, Object> entry = fields(resource, "code");
            entry.put("params", values(resource, "param"));
            resources.add(entry);
        }
        fact.put("resources", resources);
        return fact;
    }

    // --- search parameters of STU3, which HL7's bundle lacks on Maven Central: from the reference implementation's annotations

    static List<Object> annotated(String modelPackage) throws Exception {
        Class<?> parameter = Class.forName("ca.uhn.fhir.model.api.annotation.SearchParamDefinition");
        List<Object> facts = new ArrayList<>();
        for (String name : classNames(modelPackage)) {
            Class<?> model = Class.forName(name, false, Facts.class.getClassLoader());
            Annotation definition = null;
            for (Annotation annotation : model.getAnnotations()) {
                if (annotation.annotationType().getSimpleName().equals("ResourceDef")) definition = annotation;
            }
            if (definition == null || java.lang.reflect.Modifier.isAbstract(model.getModifiers())) continue;
            TreeMap<String, Object> ofType = new TreeMap<>();
            for (Field field : model.getFields()) {
                for (Annotation annotation : field.getAnnotations()) {
                    if (!parameter.isInstance(annotation)) continue;
                    Map<String, Object> fact = new LinkedHashMap<>();
                    fact.put("base", call(definition, "name"));
                    fact.put("code", call(annotation, "name"));
                    fact.put("type", call(annotation, "type"));
                    fact.put("expression", call(annotation, "path"));
                    List<Object> targets = new ArrayList<>();
                    for (Class<?> target : (Class<?>[]) call(annotation, "target")) targets.add(target.getSimpleName());
                    Collections.sort(targets, Comparator.comparing(Object::toString));
                    fact.put("target", targets);
                    fact.put("compositeOf", Arrays.asList((Object[]) call(annotation, "compositeOf")));
                    ofType.put((String) fact.get("code"), fact);
                }
            }
            facts.addAll(ofType.values());
        }
        return facts;
    }

    static Object call(Annotation annotation, String method) throws Exception {
        return annotation.annotationType().getMethod(method).invoke(annotation);
    }

    static List<String> classNames(String modelPackage) throws Exception {
        String folder = modelPackage.replace('.', '/') + "/";
        TreeSet<String> names = new TreeSet<>();
        for (String jar : System.getProperty("java.class.path").split(File.pathSeparator)) {
            if (!jar.endsWith(".jar")) continue;
            try (var file = new java.util.jar.JarFile(jar)) {
                file.stream().map(entry -> entry.getName())
                    .filter(name -> name.startsWith(folder) && name.endsWith(".class") && !name.contains("$"))
                    .forEach(name -> names.add(name.substring(0, name.length() - 6).replace('/', '.')));
            }
        }
        return new ArrayList<>(names);
    }

    // --- XML

    static List<Element> bundle(String path) throws Exception {
        try (InputStream stream = Facts.class.getResourceAsStream(path)) {
            Element root = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(stream).getDocumentElement();
            List<Element> resources = new ArrayList<>();
            for (Element entry : children(root, "entry")) {
                Node node = child(entry, "resource").getFirstChild();
                while (!(node instanceof Element)) node = node.getNextSibling();
                resources.add((Element) node);
            }
            return resources;
        }
    }

    static List<Object> each(List<Element> resources, String type, Fact fact) {
        List<Object> facts = new ArrayList<>();
        for (Element resource : resources) if (resource.getTagName().equals(type)) facts.add(fact.of(resource));
        return facts;
    }

    static List<Element> children(Element parent, String name) {
        List<Element> found = new ArrayList<>();
        if (parent == null) return found;
        for (Node node = parent.getFirstChild(); node != null; node = node.getNextSibling()) {
            if (node instanceof Element && ((Element) node).getTagName().equals(name)) found.add((Element) node);
        }
        return found;
    }

    static Element child(Element parent, String name) {
        List<Element> found = children(parent, name);
        return found.isEmpty() ? null : found.get(0);
    }

    static String value(Element parent, String name) {
        Element found = child(parent, name);
        return found == null || !found.hasAttribute("value") ? null : found.getAttribute("value");
    }

    static List<Object> values(Element parent, String name) {
        List<Object> found = new ArrayList<>();
        for (Element element : children(parent, name)) found.add(element.getAttribute("value"));
        return found;
    }

    static Map<String, Object> fields(Element parent, String... names) {
        Map<String, Object> fact = new LinkedHashMap<>();
        for (String name : names) fact.put(name, value(parent, name));
        return fact;
    }

    static String read(String path) throws Exception {
        try (InputStream stream = Facts.class.getResourceAsStream(path)) {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    // --- JSON

    record Raw(String json) {}

    static void write(Object value) {
        if (value instanceof Raw) {
            out.print(((Raw) value).json());
        } else if (value instanceof Map) {
            String separator = "{";
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                if (entry.getValue() == null) continue;
                out.print(separator);
                write(entry.getKey());
                out.print(':');
                write(entry.getValue());
                separator = ",";
            }
            out.print(separator.equals("{") ? "{}" : "}");
        } else if (value instanceof List) {
            String separator = "[";
            for (Object item : (List<?>) value) {
                out.print(separator);
                write(item);
                separator = ",";
            }
            out.print(separator.equals("[") ? "[]" : "]");
        } else {
            StringBuilder text = new StringBuilder("\"");
            for (char c : String.valueOf(value).toCharArray()) {
                if (c == '"' || c == '\\') text.append('\\').append(c);
                else if (c < 32) text.append(String.format("\\u%04x", (int) c));
                else text.append(c);
            }
            out.print(text.append('"'));
        }
    }
}
