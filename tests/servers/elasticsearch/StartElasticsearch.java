import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/** Elasticsearch of one node from its published jars. Arguments: data folder, modules, HTTP port. */
class StartElasticsearch {
    public static void main(String[] arguments) throws Exception {
        Path data = Path.of(arguments[0]);
        Settings settings = Settings.builder()
            .put("path.home", data.toString())
            .put("http.port", arguments[2])
            .put("transport.port", "0")
            .put("network.host", "127.0.0.1")
            .put("discovery.type", "single-node")
            // A test writes little, however full the disk is.
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build();
        LogConfigurator.setNodeName("test");
        LogConfigurator.configureWithoutConfig(settings);
        LogConfigurator.configureESLogging();
        var environment =
            InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), data, () -> "test");
        var modules = PluginsLoader.loadModulesBundles(Path.of(arguments[1]), false);
        var loader = PluginsLoader.createPluginsLoader(modules, Set.of(), Map.of(), false);
        Node node = new Node(environment, loader);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
        node.start();
        Thread.currentThread().join();
    }

    private static void close(Node node) {
        try {
            node.close();
        } catch (Exception error) {
            error.printStackTrace();
        }
    }
}
